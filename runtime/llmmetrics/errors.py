"""Every exception of llmmetrics."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Literal

Reason = Literal["limit", "unknown_price", "ledger", "run"]
"""Why a call was refused: a budget is spent, no price is known, no ledger can be reached, a run is at its limit."""


class LlmMetricsError(Exception):
    """The base class of every exception of llmmetrics."""


class ConfigError(LlmMetricsError, ValueError):
    """An error in the user's configuration. The message says what is wrong, where, and what to do."""


class LedgerError(LlmMetricsError):
    """An operation of the ledger failed. The message says which ledger, and what to do."""


_UNITS = {
    "usd": ("spent", "cost", "$", ""),
    "calls": ("made", "make", "", " calls"),
    "tokens": ("used", "use", "", " tokens"),
}
"""What a run has done with each unit, what a call could do, the sign before an amount and the word after it."""

_OF_TESTS = ("--llm-max-usd", "@pytest.mark.llm_limit")
"""An option and a marker of pytest-llmmetrics, which name their runs after themselves."""

_RAISE = "Raise MaxSpendUsd, or run `llmmetrics budget reset`"

_RELEASE = ". If the provider's bill has less, `llmmetrics budget release --unknown` takes worst cases back"


class BudgetExceeded(LlmMetricsError):  # noqa: N818 - the name that the documentation promises
    """A call was refused before anything was sent. Amounts are in USD.

    `reserved` is the reserved cost of calls in flight (mode `strict`); `resets_at` is the start of the next window,
    or None if the window is never reset. `could_cost` is the worst case of the call itself (mode `strict`), and
    `max_tokens` the highest output limit with which it would have fit; None if no limit helps. `output_limit` is the
    name of that limit in the request, such as `generationConfig.maxOutputTokens`; None if the format has none.
    `worst_case` is the part of `spent` that calls of unknown outcome may have cost at most; None if it is not known.

    `run` is the name of the run whose limit is reached (reason `run`), and `unit` is what that limit counts: `usd`,
    `calls` or `tokens`. All amounts are in this unit.
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
        could_cost: Decimal | None = None,
        max_tokens: int | None = None,
        output_limit: str | None = None,
        worst_case: Decimal | None = None,
        run: str | None = None,
        unit: str = "usd",
    ) -> None:
        call = (could_cost, max_tokens, output_limit, worst_case, run, unit)
        super().__init__(backend, reason, spent, reserved, limit, window_start, resets_at, *call)
        self.backend = backend
        self.reason = reason
        self.spent = spent
        self.reserved = reserved
        self.limit = limit
        self.window_start = window_start
        self.resets_at = resets_at
        self.could_cost = could_cost
        self.max_tokens = max_tokens
        self.output_limit = output_limit
        self.worst_case = worst_case
        self.run = run
        self.unit = unit

    def __str__(self) -> str:
        if self.reason == "run":
            return self._of_run()
        if self.reason == "unknown_price":
            limited = f"and the run {self.run!r}" if self.run else "which"
            return (
                f"refused: no price is known for this call at {self.backend!r}, {limited} has a budget. Set the "
                "backend's CostPerMillionInputTokens and CostPerMillionOutputTokens, add the model to a price file, or "
                "set LlmSettings.Budget.OnUnknownPrice to warn"
            )
        if self.reason == "ledger":
            whose = f"the run {self.run!r}" if self.run else f"the budget of {self.backend!r}"
            return (
                f"refused: the ledger with {whose} cannot be reached (the log says why). "
                "Repair the ledger, or set LlmSettings.Budget.OnLedgerError to admit"
            )
        reserved = f" and ${self.reserved:f} reserved for calls in flight" if self.reserved else ""
        worst = f" (${self.worst_case:f} of it are worst cases)" if self.worst_case else ""
        spent = (
            f"has spent ${self.spent:f}{worst}{reserved} of its ${self.limit:f} since {self.window_start.isoformat()}"
        )
        release = _RELEASE if worst else ""
        if self.could_cost is not None:
            left = max(self.limit - self.spent - self.reserved, Decimal(0)).normalize()
            return (
                f"refused: this call could cost ${self.could_cost:f}, and {self.backend!r} has ${left:f} left: "
                f"it {spent}. {self._remedy(self.could_cost)}{release}"
            )
        until = f"; it accepts calls again at {self.resets_at.isoformat()}" if self.resets_at else ""
        return f"refused: {self.backend!r} {spent}{until}. {_RAISE}{release}"

    def _of_run(self) -> str:
        """Say which run refuses the call, and what would let it through."""
        if self.run is None:
            return (
                f"refused: this call to {self.backend!r} belongs to no run, and LlmSettings.Attribution.RequireRun is "
                "set. Make it inside llmmetrics.spending(...), and in other threads through run.bind(function)"
            )
        past, could, sign, counted = _UNITS[self.unit]
        reserved = f" and {sign}{self.reserved:f} reserved for calls in flight" if self.reserved else ""
        at = f"the run {self.run!r} has {past} {sign}{self.spent:f}{reserved} of its {sign}{self.limit:f}{counted}"
        call = f", and this call to {self.backend!r} could {could} {sign}{self.could_cost:f}" if self.could_cost else ""
        lower = f"set {self.output_limit} to {self.max_tokens} or less, or " if self.max_tokens is not None else ""
        knob = f"the limit of {self.run}" if self.run in _OF_TESTS else f"{self.unit}= of llmmetrics.spending"
        return f"refused: {at}{call}. To let it through, {lower}raise {knob}"

    def _remedy(self, could_cost: Decimal) -> str:
        """Say what lets this call through: a lower bound on its output, the next window, or neither."""
        later = could_cost <= self.limit and self.resets_at
        if self.max_tokens is not None:
            wait = f", or call again at {later.isoformat()}" if later else ""
            limit = self.output_limit or "max_tokens"
            return f"Set {limit} to {self.max_tokens} or less, which bounds the cost{wait}, or raise MaxSpendUsd"
        if later:
            return f"It accepts this call again at {later.isoformat()}. {_RAISE}"
        if could_cost <= self.limit:
            return _RAISE
        if self.output_limit is None:
            return "It does not fit in a whole window: send a shorter prompt, or raise MaxSpendUsd"
        return (
            f"Neither {self.output_limit} now nor the next window alone lets it through: send a shorter prompt and a "
            f"lower {self.output_limit}, or raise MaxSpendUsd"
        )


class NoBackendAvailable(LlmMetricsError):  # noqa: N818 - a fact about the backends, as `BudgetExceeded` is about one
    """No backend of a failover took the call.

    `reasons` says why, by backend: `limit` (its budget is spent), `unhealthy`, `retry_after` (it asked to wait),
    `deadline`, or the error type or refusal of its try. `first_back` is when the first is expected back, None if that
    is not known. The exception of the last try is the `__cause__`.
    """

    def __init__(self, reasons: Mapping[str, str], first_back: datetime | None) -> None:
        super().__init__(reasons, first_back)
        self.reasons = dict(reasons)
        self.first_back = first_back

    def __str__(self) -> str:
        why = ", ".join(f"{name!r} ({reason})" for name, reason in self.reasons.items())
        when = f"The first is expected back at {self.first_back.isoformat()}" if self.first_back else "Try again later"
        return f"no backend is available: {why}. {when}, or add a backend"
