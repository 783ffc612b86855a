"""Holds a call against the runs that it belongs to: before it is sent, and after it has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from threading import get_ident
from typing import NamedTuple, Protocol

from llmmetrics.budgets.budget import pico_up, usd
from llmmetrics.budgets.journal import Entry
from llmmetrics.budgets.ledgers import Basis
from llmmetrics.budgets.run_budget import ALWAYS, Amounts, RunRefusal
from llmmetrics.core import spending
from llmmetrics.core.call_log import inherited, outside
from llmmetrics.core.context import CallContext
from llmmetrics.core.run import Run
from llmmetrics.errors import BudgetExceeded, LedgerError
from llmmetrics.metrics.registry import PICO, CallSeries, Families
from llmmetrics.pricing.worst_case import WorstCase
from llmmetrics.settings.model import OnLedgerError, OnUnknownPrice, Settings
from llmmetrics.system.clock import Clock

_FREE = Amounts(0, 1, 0)


class Hold(NamedTuple):
    """What a run has reserved for a call."""

    run: Run
    entries: Sequence[Entry]


class RunCall(Protocol):
    """What the gate reads of a call, and what it notes there."""

    series: CallSeries
    runs: tuple[Run, ...]
    holds: list[Hold]


class RunGate:
    """The runs' side of a meter."""

    def __init__(
        self, settings: Settings, clock: Clock, families: Families, say: Callable[[str, str], None]
    ) -> None:
        self.required = settings.attribution.require_run
        self._budget = settings.budget
        self._clock = clock
        self._families = families
        self._say = say

    def of(self, context: CallContext) -> tuple[Run, ...]:
        """Return the open runs that a call of this context belongs to."""
        return tuple(self._open(context))

    def _open(self, context: CallContext) -> Iterator[Run]:
        for run in (*spending.process_wide, *context.runs):
            if run.inherited:
                self._say(*inherited(run.name))
            elif run.open:
                yield run
        if not context.runs and spending.open_in and get_ident() not in spending.open_in:
            self._families["outside_runs"].inc()
            self._say(*outside())

    def admit(self, call: RunCall, worst: WorstCase | None) -> BudgetExceeded | None:
        """Reserve what a call may come to in each of its runs; return the refusal of the first that it does not fit.

        `worst` is None if no price is known. After a refusal nothing is reserved.
        """
        if self.required and not call.runs:
            return self._refused(call, None, RunRefusal("calls", 0, 0, 0))
        for run in call.runs:
            refusal = self._admit(call, run, worst)
            if refusal is not None:
                self.release(call)
                return refusal
        return None

    def _admit(self, call: RunCall, run: Run, worst: WorstCase | None) -> BudgetExceeded | None:
        priced = worst is not None and worst.priced
        if "usd" in run.of.limits and not priced and self._budget.on_unknown_price is OnUnknownPrice.REFUSE:
            if run.of.mode != "shadow":
                return self._refused(call, run, RunRefusal("usd", 0, 0, run.of.limits["usd"]), reason="unknown_price")
        amounts = _FREE if worst is None else Amounts(pico_up(worst.cost), 1, worst.tokens)
        try:
            answer = run.admit(amounts, self._clock.now())
        except LedgerError:
            if self._budget.on_ledger_error is OnLedgerError.ADMIT:
                return None
            return self._refused(call, run, RunRefusal("usd", 0, 0, 0), reason="ledger")
        if isinstance(answer, RunRefusal):
            return self._refused(call, run, answer, worst)
        call.holds.append(Hold(run, answer))
        return None

    def release(self, call: RunCall) -> None:
        """Release what the runs have reserved for a call that is not sent."""
        while call.holds:
            hold = call.holds.pop()
            hold.run.release(hold.entries)

    def book(self, call: RunCall) -> None:
        """Book what a call came to in each of its runs; in `strict`, an unknown outcome at its worst case."""
        names = (call.series.backend, call.series.model)
        while call.holds:
            hold = call.holds.pop()
            hold.run.book(hold.entries, names, *_used(call, hold))

    def _refused(
        self,
        call: RunCall,
        run: Run | None,
        refusal: RunRefusal,
        worst: WorstCase | None = None,
        *,
        reason: Reason = "run",
    ) -> BudgetExceeded:
        self._families["refusals"].labels(call.series.backend, reason).inc()
        spent, reserved, limit = (_shown(refusal.unit, amount) for amount in refusal[1:])
        could, most, name = _could(refusal, worst, call.format) if run and run.of.mode == "strict" else (None, None, None)
        return BudgetExceeded(
            call.series.backend,
            reason,
            spent,
            reserved,
            limit,
            ALWAYS.start,
            None,
            could,
            most,
            name,
            run.name if run else None,
            refusal.unit,
        )
