"""Every exception of llmmetrics."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal

Reason = Literal["limit", "unknown_price", "ledger"]
"""Why a call was refused: its budget is spent, nobody knows what it would cost, or the ledger cannot be asked."""


class LlmMetricsError(Exception):
    """What all of them derive from."""


class ConfigError(LlmMetricsError, ValueError):
    """An error in the user's own configuration: the message says what, where, and what to do."""


class LedgerError(LlmMetricsError):
    """The ledger cannot do what it was asked to: the message says which ledger, and what to do."""


class BudgetExceeded(LlmMetricsError):  # noqa: N818 - the name that the documentation promises
    """A call that was refused before anything was sent. Amounts are in USD.

    `reserved` is what calls in flight may still cost (mode `strict`), `resets_at` the start of the next window,
    None where there is none.
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
                "CostPerMillionInputTokens and CostPerMillionOutputTokens, or LlmSettings.Budget.OnUnknownPrice to warn"
            )
        if self.reason == "ledger":
            return (
                f"refused: the ledger with the budget of {self.backend!r} cannot be asked (the log says why). Have it "
                "back, or set LlmSettings.Budget.OnLedgerError to admit"
            )
        held = f" and ${self.reserved} held for calls in flight" if self.reserved else ""
        until = f"; it takes calls again at {self.resets_at.isoformat()}" if self.resets_at else ""
        return (
            f"refused: {self.backend!r} has spent ${self.spent}{held} of its ${self.limit} "
            f"since {self.window_start.isoformat()}{until}. Raise MaxSpendUsd, or `llmmetrics budget reset`"
        )
