"""Every exception of llmmetrics."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal

Reason = Literal["limit", "unknown_price", "ledger"]
"""Why a call was refused: the budget is spent, no price is known, or the ledger cannot be reached."""


class LlmMetricsError(Exception):
    """The base class of every exception of llmmetrics."""


class ConfigError(LlmMetricsError, ValueError):
    """An error in the user's configuration. The message says what is wrong, where, and what to do."""


class LedgerError(LlmMetricsError):
    """An operation of the ledger failed. The message says which ledger, and what to do."""


class BudgetExceeded(LlmMetricsError):  # noqa: N818 - the name that the documentation promises
    """A call was refused before anything was sent. Amounts are in USD.

    `reserved` is the reserved cost of calls in flight (mode `strict`); `resets_at` is the start of the next window,
    or None if the window is never reset.
    """

    def __init__(
        self,
        backend: str,
        reason: Reason,
        spent: Decimal,
        reserved: Decimal,
        limit: Decimal,
        window_start: datetime,
        resets_at: datetime | None,
    ) -> None:
        super().__init__(backend, reason, spent, reserved, limit, window_start, resets_at)
        self.backend = backend
        self.reason = reason
        self.spent = spent
        self.reserved = reserved
        self.limit = limit
        self.window_start = window_start
        self.resets_at = resets_at

    def __str__(self) -> str:
        if self.reason == "unknown_price":
            return (
                f"refused: no price is known for this call at {self.backend!r}, which has a budget. Set "
                "CostPerMillionInputTokens and CostPerMillionOutputTokens, or set LlmSettings.Budget.OnUnknownPrice to "
                "warn"
            )
        if self.reason == "ledger":
            return (
                f"refused: the ledger with the budget of {self.backend!r} cannot be reached (the log says why). "
                "Repair the ledger, or set LlmSettings.Budget.OnLedgerError to admit"
            )
        reserved = f" and ${self.reserved} reserved for calls in flight" if self.reserved else ""
        until = f"; it accepts calls again at {self.resets_at.isoformat()}" if self.resets_at else ""
        return (
            f"refused: {self.backend!r} has spent ${self.spent}{reserved} of its ${self.limit} "
            f"since {self.window_start.isoformat()}{until}. Raise MaxSpendUsd, or run `llmmetrics budget reset`"
        )
