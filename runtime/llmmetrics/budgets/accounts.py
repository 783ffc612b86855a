"""Budgets as they stand in a ledger: the window of this moment, what is spent in it and what is held."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from llmmetrics.budgets.enforcer import schedule_of
from llmmetrics.budgets.ledgers import Ledger
from llmmetrics.metrics.registry import NANO
from llmmetrics.settings.model import Settings
from llmmetrics.settings.windows import Window


class Account(NamedTuple):
    """One budget, in nano-dollars."""

    backend: str
    window: Window | None
    """None: the last window that a caller has opened is over."""
    spent: int
    reserved: int
    limit: int | None


def of_settings(ledger: Ledger, settings: Settings, now: datetime) -> Sequence[Account]:
    """Read the account of every limited backend of the settings, in their order."""
    return [
        _account(ledger, each.name, schedule_of(each).window(now), int(each.max_spend_usd * NANO), now)
        for each in settings.backends
        if each.max_spend_usd is not None
    ]


def of_ledger(ledger: Ledger, now: datetime) -> Sequence[Account]:
    """Read the account of every backend that the ledger knows. Its windows are those that callers have opened."""
    rows = ledger.history()
    open_now = [row for row in rows if row.window.holds(now)]
    accounts = [_account(ledger, row.backend, row.window, row.limit, now) for row in open_now]
    # the newest comes first, so that the last to be set is the newest
    latest = {row.backend: row for row in reversed(rows)}
    over = latest.keys() - {row.backend for row in open_now}
    accounts += [Account(name, None, 0, 0, latest[name].limit) for name in over]
    return sorted(accounts, key=lambda account: account.backend)


def _account(ledger: Ledger, backend: str, window: Window, limit: int | None, now: datetime) -> Account:
    balance = ledger.balance(backend, window, now)
    return Account(backend, window, balance.spent, balance.reserved, limit)
