"""`llmmetrics budget show | reset | release | history | prune`: reads budgets from a ledger, and corrects them."""

from __future__ import annotations

import getpass
import json
import platform
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Literal, NamedTuple, TypeVar

from llmmetrics.budgets.accounts import Account, budget_rows, of_ledger, of_settings
from llmmetrics.budgets.from_settings import place_of
from llmmetrics.budgets.ledgers import Correction, Ledger, WindowRow, file_of, open_ledger
from llmmetrics.budgets.run_budget import TAG
from llmmetrics.cli.budget_tables import (
    account_fields,
    account_table,
    basis_table,
    correction_fields,
    correction_table,
    parts_of,
    window_fields,
    window_table,
)
from llmmetrics.cli.budget_tags import days_of, sum_fields, sums_table
from llmmetrics.cli.output.findings import shown
from llmmetrics.cli.output.tables import when
from llmmetrics.errors import ConfigError
from llmmetrics.settings.loading import load
from llmmetrics.settings.model import Settings
from llmmetrics.settings.windows import Window
from llmmetrics.system.clock import Clock, SystemClock

OfBackend = TypeVar("OfBackend", Account, WindowRow)

Kind = Literal["reset", "release"]

KEY = "LlmSettings.Budget.Ledger"


class BudgetQuestion(NamedTuple):
    """What the command line asks for."""

    settings: str | None
    """A settings file: it has the ledger's URL, the limits and the windows."""
    ledger: str | None
    """The URL of a ledger; without settings, its windows are those that calls have opened."""
    namespace: str | None
    backend: str | None
    json: bool
    yes: bool
    before: str | None
    """The date of `prune`."""
    by: str | None = None
    """The tag whose sums `show` prints."""
    window: str | None = None
    """The month or day of these sums."""


class _Books(NamedTuple):
    """An open ledger, and the question to answer from it."""

    ledger: Ledger
    namespace: str
    settings: Settings | None
    asked: BudgetQuestion
    clock: Clock

    def chosen(self, rows: Sequence[OfBackend]) -> Sequence[OfBackend]:
        """Keep the rows of the backend that `--backend` names, if any. Raises `ConfigError` if none is left."""
        name = self.asked.backend
        # the limit of a tag is shown without its prefix
        if chosen := [row for row in rows if name in (None, _name(row), _name(row).removeprefix(TAG))]:
            return chosen
        where = self.asked.settings or f"{self.ledger.name}, namespace {shown(self.namespace)!r}"
        known = ", ".join(sorted({shown(_name(row)) for row in rows}))
        if known:
            raise ConfigError(f"no backend {name!r} has a budget in {where}: use one of {known}")
        raise ConfigError(f"no backend has a budget in {where}: set MaxSpendUsd, or check --ledger and --namespace")

    def accounts(self) -> Sequence[Account]:
        """Read the budgets that the question is about; at least one."""
        if self.settings is None:
            return self.chosen(of_ledger(self.ledger, self.clock))
        return self.chosen(of_settings(self.ledger, self.settings, self.clock))

    def print(self, **rows: Iterable[Mapping[str, object]]) -> int:
        """Print the document of `--json`; return 0."""
        document = {"ledger": self.ledger.name, "namespace": self.namespace}
        sys.stdout.write(json.dumps({**document, **{name: [*row] for name, row in rows.items()}}, indent=2) + "\n")
        return 0


def _name(row: Account | WindowRow) -> str:
    return row.backend if isinstance(row, Account) else row.key


def run(action: str, asked: BudgetQuestion) -> int:
    """Run an action; return 0, or 1 if it was not done.

    Raises `ConfigError`, and `LedgerError` if the ledger cannot be reached.
    """
    settings = None if asked.settings is None else load(asked.settings)
    url, namespace = ("", "default") if settings is None else place_of(settings)
    url, namespace = asked.ledger or url, asked.namespace or namespace
    durability = "normal" if settings is None else settings.budget.durability
    with closing(_open(url, namespace, durability, "--ledger" if asked.ledger else KEY)) as ledger:
        return _ACTIONS[action](_Books(ledger, namespace, settings, asked, SystemClock()))


def _open(url: str, namespace: str, durability: str, named: str) -> Ledger:
    if url.startswith("memory://"):
        raise ConfigError(
            f"{named} is memory://: only its own process can read such a ledger. Use sqlite:// or redis://"
        )
    try:
        path = file_of(url) if url.startswith("sqlite:") else None
        if path is None or path.exists():
            return open_ledger(url, namespace=namespace, durability=durability)
        problem = f"there is no ledger {path}: no call has been booked yet, or {named} names the wrong file"
    except ConfigError as exc:
        # memory:// is refused above
        problem = str(exc).replace(KEY, named).replace("memory://, ", "")
    raise ConfigError(problem)


def _show(books: _Books) -> int:
    if books.asked.by is not None:
        return _show_tag(books, books.asked.by)
    if books.asked.window is not None:
        raise ConfigError("--window needs --by TAG: a budget is shown in its window of now, its history by `history`")
    accounts = books.accounts()
    if books.asked.json:
        return books.print(budgets=map(account_fields, accounts))
    sys.stdout.writelines(account_table(accounts))
    if unsure := [account for account in accounts if any(amount for _, amount in parts_of(account)[1:])]:
        sys.stdout.writelines(["\n", *basis_table(unsure)])
    return 0


def _show_tag(books: _Books, tag: str) -> int:
    span, settings = books.asked.window, books.settings
    if books.asked.backend is not None:
        raise ConfigError("--by TAG and --backend exclude each other: the sums of a tag are those of all backends")
    if settings is not None and tag not in (keys := settings.attribution.keys):
        known = f"use one of {', '.join(keys)}" if keys else "add it there"
        raise ConfigError(f"{shown(tag)!r} is not in Attribution.Keys of {books.asked.settings}: {known}")
    sums = books.ledger.tallies(tag, *days_of(span, books.clock.now()))
    if books.asked.json:
        return books.print(values=sum_fields(sums))
    if not sums:
        raise ConfigError(
            f"no call with the tag {shown(tag)!r} has a cost in {span or 'this month'} in {books.ledger.name}, "
            f"namespace {shown(books.namespace)!r}: check --window, --namespace, and Attribution.Keys"
        )
    sys.stdout.writelines(sums_table(tag, sums))
    return 0


def _history(books: _Books) -> int:
    rows = books.chosen(budget_rows(books.ledger))
    corrections = books.ledger.corrections(None if books.asked.backend is None else _name(rows[0]))
    if books.asked.json:
        resets, releases = ([each for each in corrections if each.kind == kind] for kind in ("reset", "release"))
        rows_of = {"resets": map(correction_fields, resets), "releases": map(correction_fields, releases)}
        return books.print(windows=map(window_fields, rows), **rows_of)
    sys.stdout.writelines(window_table(rows))
    if corrections:
        sys.stdout.writelines(["\n", *correction_table(corrections)])
    return 0


def _reset(books: _Books) -> int:
    return _take_off(books, "reset", books.ledger.reset, "Set this spend to 0")


def _release(books: _Books) -> int:
    return _take_off(books, "release", books.ledger.release, "Take back the worst cases in this spend")


def _take_off(books: _Books, kind: Kind, take: Callable[[str, Window, datetime, str], int], question: str) -> int:
    accounts = [account for account in books.accounts() if account.window is not None]
    names = [account.backend for account in accounts]
    if several := next((shown(name) for name in names if names.count(name) > 1), None):
        # the ledger does not know which of them the settings of the callers mean
        raise ConfigError(
            f"{several!r} has several windows at once in {books.ledger.name}: give its SETTINGS, so that one is chosen"
        )
    if accounts and not _agreed(books, kind, account_table(accounts), f"{question} in {books.ledger.name}?"):
        sys.stderr.write("nothing was reset\n" if kind == "reset" else "nothing was released\n")
        return 1
    by, now = _operator(), books.clock.now()
    done = [
        Correction(kind, account.backend, now, by, take(account.backend, account.window, now, by))
        for account in accounts
        if account.window is not None
    ]
    if books.asked.json:
        return books.print(**{f"{kind}s": map(correction_fields, done)})
    sys.stdout.writelines(correction_table(done))
    return 0


def _prune(books: _Books) -> int:
    try:
        before = datetime.fromisoformat(books.asked.before or "")
    except ValueError:
        raise ConfigError(f"--before {books.asked.before!r} is no date: write it as 2026-01-31") from None
    before = before if before.tzinfo else before.replace(tzinfo=UTC)
    if before > books.clock.now():
        raise ConfigError(f"--before {books.asked.before} is not over yet: give a date in the past")
    old = [row for row in books.ledger.history() if row.window.end <= before]
    question = f"Delete these windows, and what {books.ledger.name} has kept before {when(before)}?"
    if not _agreed(books, "prune", window_table(old), question):
        sys.stderr.write("nothing was deleted\n")
        return 1
    sys.stdout.write(f"{books.ledger.prune(before)} windows were deleted\n")
    return 0


def _agreed(books: _Books, action: str, table: Iterable[str], question: str) -> bool:
    if books.asked.yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigError(f"budget {action} needs a confirmation, and stdin is not a terminal: give --yes")
    sys.stderr.writelines(table)
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().casefold() in ("y", "yes")


def _operator() -> str:
    """Name the user and the machine, for the ledger's history."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        # a container's user may have no name
        user = "somebody"
    return f"{user}@{platform.node()}"


_ACTIONS: Mapping[str, Callable[[_Books], int]] = {
    "show": _show,
    "reset": _reset,
    "release": _release,
    "history": _history,
    "prune": _prune,
}
