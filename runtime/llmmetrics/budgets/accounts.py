"""Budgets as they stand in a ledger: the window of this moment, what is spent in it and what is held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from llmmetrics.budgets.answers import is_file
from llmmetrics.budgets.from_settings import schedule_of
from llmmetrics.budgets.ledgers import Basis, Ledger, WindowRow
from llmmetrics.budgets.run_budget import RUN
from llmmetrics.budgets.tag_limits import limits_by_key
from llmmetrics.metrics.registry import PICO
from llmmetrics.settings.model import Settings
from llmmetrics.settings.windows import Window
from llmmetrics.system.clock import Clock


class Account(NamedTuple):
    """One budget, in pico-dollars."""

    backend: str
    window: Window | None
    """None: the last window that a caller has opened is over."""
    spent: int
    reserved: int
    limit: int | None
    by_basis: Mapping[Basis, int] = {}
    """What is spent, by how sure it is."""


def of_settings(ledger: Ledger, settings: Settings, clock: Clock) -> Sequence[Account]:
    """Read the account of every limited backend of the settings, in their order; then of tags, as far as they spent."""
    now = clock.now()
    backends = [
        _account(ledger, each.name, schedule_of(each).window(now), int(each.max_spend_usd * PICO), clock)
        for each in settings.backends
        if each.max_spend_usd is not None
    ]
    if not settings.attribution.limits:
        return backends
    find = limits_by_key(settings.attribution)
    limited = [(key, limit) for key in sorted({row.key for row in ledger.history()}) if (limit := find(key))]
    return [
        *backends,
        *(_account(ledger, key, limit.schedule.window(now), limit.amount, clock) for key, limit in limited),
    ]


def budget_rows(ledger: Ledger) -> Sequence[WindowRow]:
    """Read the windows of backends, the newest first, without those of runs and of uploaded files."""
    return [row for row in ledger.history() if not row.key.startswith(RUN) and not is_file(row.key)]


def of_ledger(ledger: Ledger, clock: Clock) -> Sequence[Account]:
    """Read the account of every backend that the ledger knows. Its windows are those that callers have opened."""
    rows, now = budget_rows(ledger), clock.now()
    open_now = [row for row in rows if row.window.holds(now)]
    accounts = [_account(ledger, row.key, row.window, row.limit, clock) for row in open_now]
    # the newest comes first, so that the last to be set is the newest
    latest = {row.key: row for row in reversed(rows)}
    over = latest.keys() - {row.key for row in open_now}
    accounts += [Account(name, None, 0, 0, latest[name].limit) for name in over]
    return sorted(accounts, key=lambda account: account.backend)


def _account(ledger: Ledger, backend: str, window: Window, limit: int | None, clock: Clock) -> Account:
    balance = ledger.balance(backend, window, clock.uptime())
    return Account(backend, window, balance.spent, balance.reserved, limit, balance.by_basis)
