"""`llmmetrics budget show | reset | history`: what a ledger says of each budget, and an operator's reset."""

from __future__ import annotations

import getpass
import json
import platform
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import NamedTuple, TypeVar

from llmmetrics.budgets.accounts import Account, of_ledger, of_settings
from llmmetrics.budgets.enforcer import place_of
from llmmetrics.budgets.ledgers import Ledger, Reset, WindowRow, file_of, open_ledger
from llmmetrics.cli.budget_tables import (
    account_fields,
    account_table,
    reset_fields,
    reset_table,
    window_fields,
    window_table,
)
from llmmetrics.cli.output.findings import shown
from llmmetrics.errors import ConfigError
from llmmetrics.settings.loading import load
from llmmetrics.settings.model import Settings
from llmmetrics.system.clock import SystemClock

OfBackend = TypeVar("OfBackend", Account, WindowRow)

KEY = "LlmSettings.Budget.Ledger"


class BudgetQuestion(NamedTuple):
    """What the command line asks for."""

    settings: str | None
    """A settings file, which says where the ledger is, and what limits and windows are."""
    ledger: str | None
    """The URL of a ledger; without settings, its windows are those that callers have opened."""
    namespace: str | None
    backend: str | None
    json: bool
    yes: bool


class _Books(NamedTuple):
    """A ledger that is open, and what is asked of it."""

    ledger: Ledger
    namespace: str
    settings: Settings | None
    asked: BudgetQuestion
    now: datetime

    def chosen(self, found: Sequence[OfBackend]) -> Sequence[OfBackend]:
        """What belongs to the backend that is asked for, if one is. Raises `ConfigError` where nothing does."""
        name = self.asked.backend
        if chosen := [each for each in found if name in (None, each.backend)]:
            return chosen
        where = self.asked.settings or f"{self.ledger.name}, namespace {shown(self.namespace)!r}"
        known = ", ".join(sorted({shown(each.backend) for each in found}))
        if known:
            raise ConfigError(f"no backend {name!r} has a budget in {where}: there is {known}")
        raise ConfigError(f"no backend has a budget in {where}")

    def accounts(self) -> Sequence[Account]:
        """The budgets that are asked for; at least one."""
        if self.settings is None:
            return self.chosen(of_ledger(self.ledger, self.now))
        return self.chosen(of_settings(self.ledger, self.settings, self.now))

    def print(self, **rows: Iterable[Mapping[str, object]]) -> int:
        """The document of `--json`."""
        document = {"ledger": self.ledger.name, "namespace": self.namespace}
        sys.stdout.write(json.dumps({**document, **{name: [*each] for name, each in rows.items()}}, indent=2) + "\n")
        return 0


def run(action: str, asked: BudgetQuestion) -> int:
    """Do it; 0 done, 1 not. Raises `ConfigError`, and `LedgerError` for a ledger that cannot be asked."""
    settings = None if asked.settings is None else load(asked.settings)
    url, namespace = ("", "default") if settings is None else place_of(settings)
    url, namespace = asked.ledger or url, asked.namespace or namespace
    durability = "normal" if settings is None else settings.budget.durability
    with closing(_open(url, namespace, durability, "--ledger" if asked.ledger else KEY)) as ledger:
        return _ACTIONS[action](_Books(ledger, namespace, settings, asked, SystemClock().now()))


def _open(url: str, namespace: str, durability: str, named: str) -> Ledger:
    if url.startswith("memory://"):
        raise ConfigError(f"{named} is memory://: such a ledger lives inside one process, and nobody else can see it")
    try:
        path = file_of(url) if url.startswith("sqlite:") else None
        if path is None or path.exists():
            return open_ledger(url, namespace=namespace, durability=durability)
        problem = f"there is no ledger {path}: nothing has been spent in it yet, or {named} should name another"
    except ConfigError as exc:
        problem = str(exc).replace(KEY, named)
    raise ConfigError(problem)


def _show(books: _Books) -> int:
    found = books.accounts()
    if books.asked.json:
        return books.print(budgets=map(account_fields, found))
    sys.stdout.writelines(account_table(found))
    return 0


def _history(books: _Books) -> int:
    rows = books.chosen(books.ledger.history())
    resets = books.ledger.resets(books.asked.backend)
    if books.asked.json:
        return books.print(windows=map(window_fields, rows), resets=map(reset_fields, resets))
    sys.stdout.writelines(window_table(rows))
    if resets:
        sys.stdout.writelines(["\n", *reset_table(resets)])
    return 0


def _reset(books: _Books) -> int:
    found = [each for each in books.accounts() if each.window is not None]
    names = [each.backend for each in found]
    if several := next((shown(name) for name in names if names.count(name) > 1), None):
        # which of them its callers have now, the ledger does not know
        raise ConfigError(f"{several!r} has several windows at once in {books.ledger.name}: give its SETTINGS too")
    if found and not books.asked.yes and not _agreed(books, found):
        sys.stderr.write("nothing was reset\n")
        return 1
    by = _operator()
    done = [
        Reset(each.backend, books.now, by, books.ledger.reset(each.backend, each.window, books.now, by))
        for each in found
        if each.window is not None
    ]
    if books.asked.json:
        return books.print(resets=map(reset_fields, done))
    sys.stdout.writelines(reset_table(done))
    return 0


def _agreed(books: _Books, found: Sequence[Account]) -> bool:
    if not sys.stdin.isatty():
        raise ConfigError("budget reset asks before it does anything, and there is no terminal to ask: give --yes")
    sys.stderr.writelines(account_table(found))
    sys.stderr.write(f"Take off what is spent, in {books.ledger.name}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().casefold() in ("y", "yes")


def _operator() -> str:
    """Who is at the keyboard, and where."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        # a container whose user has no name
        user = "somebody"
    return f"{user}@{platform.node()}"


_ACTIONS: Mapping[str, Callable[[_Books], int]] = {"show": _show, "reset": _reset, "history": _history}
