"""Holds a call against the runs that it belongs to: before it is sent, and after it has ended."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from threading import get_ident
from typing import Protocol

from llmmetrics.budgets.amounts import pico_up, usd
from llmmetrics.budgets.answers import AnswerKey, Kept
from llmmetrics.budgets.call_bounds import CallBounds
from llmmetrics.budgets.enforcer import BudgetedCall
from llmmetrics.budgets.ledgers import Basis
from llmmetrics.budgets.run import BEGAN, Hold, Run
from llmmetrics.budgets.run_answers import PendingHold
from llmmetrics.budgets.run_budget import ALWAYS, Amounts, RunRefusal, SharedRunLedger
from llmmetrics.budgets.tag_limits import TagLimits
from llmmetrics.core import call_log
from llmmetrics.core.answers import Answers
from llmmetrics.core.context import CallContext, open_runs
from llmmetrics.errors import BudgetExceeded, ConfigError, LedgerError, Reason
from llmmetrics.metrics.registry import PICO, Families
from llmmetrics.pricing.price import ATTO
from llmmetrics.pricing.worst_case import WorstCase, output_limit
from llmmetrics.settings.backends import Backends
from llmmetrics.settings.model import OnLedgerError, OnUnknownPrice, Settings
from llmmetrics.settings.price_lookup import PriceLookup
from llmmetrics.system.clock import Clock
from llmmetrics.wire.format import Billing

_NO_BOUND = WorstCase(0, 0, 0)

_NO_ANSWER = RunRefusal("usd", 0, 0, 0)


class RunCall(BudgetedCall, Protocol):
    """What the gate reads of a call, and what it notes there."""

    runs: tuple[Run, ...]
    holds: list[Hold]
    sent: bool
    tokens: int
    known_tokens: int


class RunHost(Protocol):
    """What the gate needs of the meter."""

    settings: Settings
    clock: Clock
    families: Families
    price_lookup: PriceLookup
    backends: Backends
    answers: Answers

    def say(self, topic: str, message: str) -> None:
        """Log a warning, once for each topic."""

    def shared_runs(self) -> SharedRunLedger:
        """Return the ledger of named runs. Raises `ConfigError` if it cannot be opened."""


class RunGate:
    """The runs' side of a meter."""

    def __init__(self, host: RunHost) -> None:
        self._host = host
        self._budget = host.settings.budget
        self._families = host.families
        self._tag_limits = TagLimits(host)

        def kept(key: AnswerKey) -> Kept | None:
            """Find what is kept of an answer: the store changes with the first limit."""
            return host.answers.store.find(key)

        self._bounds = CallBounds(host.settings, host.price_lookup, host.backends, kept)
        self.required = host.settings.attribution.require_run

    def of(self, context: CallContext, tags: tuple[tuple[str, str], ...]) -> tuple[Run, ...]:
        """Return what limits a call of this context: the open runs, and its tags' budgets.

        A call that may have lost its run is counted and logged.
        """
        limited = self._tag_limits.of(tags)
        if not (context.runs or open_runs.active):
            return limited
        return (*self._open(context), *limited)

    def _open(self, context: CallContext) -> Iterator[Run]:
        open_ones: list[Run] = []
        for run in sorted((*open_runs.process_wide, *context.runs), key=BEGAN):
            if run.inherited:
                self._host.say(*call_log.inherited(run.name))
            elif run.open and not any(run.is_same(other) for other in open_ones):
                # a name stands for one run, in whatever scopes it is open: the one that began first
                open_ones.append(run)
                yield run
        if not context.runs and open_runs.open_in and get_ident() not in open_runs.open_in:
            self._families["outside_runs"].inc()
            self._host.say(*call_log.outside())

    def admit(self, call: RunCall) -> BudgetExceeded | None:
        """Reserve what a call may come to in each of its runs; return the refusal of the first that it does not fit.

        After a refusal nothing is reserved.
        """
        if self.required and all(run.of.schedule is not None for run in call.runs):
            # the limit of a tag is no run
            return self._refused(call, None, RunRefusal("calls", 0, 0, 0))
        # counting calls needs no bound
        worst = self._bounds.worst(call) if any(run.reserves or run.prices for run in call.runs) else _NO_BOUND
        for run in call.runs:
            refusal = self._admit(call, run, worst)
            if refusal is not None:
                self.release(call)
                return refusal
        return None

    def _admit(self, call: RunCall, run: Run, worst: WorstCase) -> BudgetExceeded | None:
        priced = worst.priced or call.format.billing is Billing.FREE or not run.prices
        if not priced and self._budget.on_unknown_price is OnUnknownPrice.REFUSE:
            return self._refused(call, run, _NO_ANSWER, reason="unknown_price")
        amounts = (
            Amounts(0, 1, 0) if call.format.billing is Billing.FREE else Amounts(pico_up(worst.cost), 1, worst.tokens)
        )
        now = self._host.clock.now()
        try:
            if run.named and not run.pinned:
                self.attach(run, now)
            answer = run.admit(amounts, now)
        except ConfigError as exc:
            # there is no ledger to book in later
            self._host.say("runs", str(exc))
            return None if self._admits(run) else self._refused(call, run, _NO_ANSWER, reason="ledger")
        except LedgerError:
            if not self._admits(run):
                return self._refused(call, run, _NO_ANSWER, reason="ledger")
            answer = run.unreserved(now)
        if isinstance(answer, RunRefusal):
            return self._refused(call, run, answer, worst)
        call.holds.append(Hold(run, answer))
        return None

    def _admits(self, run: Run) -> bool:
        """Return whether a run admits calls while its ledger is away."""
        return run.of.mode == "shadow" or self._budget.on_ledger_error is OnLedgerError.ADMIT

    def attach(self, run: Run, now: datetime) -> None:
        """Keep a named run in the ledger. Raises `LedgerError`, and `ConfigError` if the ledger cannot be opened."""
        shared = self._host.shared_runs()
        run.keep_in(shared, self._budget.lease_seconds)
        run.keep(shared, now)

    def release(self, call: RunCall) -> None:
        """Release what the runs have reserved for a call that is not sent."""
        while call.holds:
            hold = call.holds.pop()
            hold.run.release(hold.entries)

    def book(self, call: RunCall) -> None:
        """Book what a call came to in each of its runs."""
        if not call.sent:
            self.release(call)
        names = (call.series.backend, call.series.model)
        while call.holds:
            run, entries = call.holds.pop()
            reserved = run.reserved(entries)
            amount, basis = self._bounds.to_book(call, reserved.usd, worst_cases=run.reserves)
            unsure = basis is Basis.WORST_CASE and run.reserves
            # as for the amount, an estimate is no reason to book more than was reserved
            tokens = max(reserved.tokens or call.tokens, call.known_tokens) if unsure else call.tokens
            run.book(entries, names, Amounts(amount, 1, tokens), basis)

    def pending(self, call: RunCall) -> list[PendingHold]:
        """Return what a call's answer may come to in each of its runs: what is reserved, or an estimate."""
        pending = []
        while call.holds:
            hold = call.holds.pop()
            reserved = hold.run.reserved(hold.entries)
            strict = hold.run.reserves
            amount = reserved.usd or pico_up(self._bounds.worst(call).cost) if strict else self._bounds.estimate(call)
            pending.append(PendingHold(hold, Amounts(amount, 1, reserved.tokens)))
        return pending

    def _refused(
        self, call: RunCall, run: Run | None, why: RunRefusal, worst: WorstCase | None = None, reason: Reason = "run"
    ) -> BudgetExceeded:
        self._families["refusals"].labels(call.series.backend, reason).inc()
        spent, reserved, limit = (_shown(why.unit, amount) for amount in (why.spent, why.reserved, why.limit))
        strict = run is not None and run.reserves
        could = _could(why, worst, call) if strict and worst is not None else (None, None, None)
        of_run = (run.name if run else None, why.unit)
        if run is not None and run.of.schedule is not None:
            # the budget of a tag: `backend` names it
            window = run.of.schedule.window(self._host.clock.now())
            reason = "limit" if reason == "run" else reason
            return BudgetExceeded(run.name, reason, spent, reserved, limit, window.start, window.resets_at, *could)
        return BudgetExceeded(
            call.series.backend, reason, spent, reserved, limit, ALWAYS.start, None, *could, None, *of_run
        )


def _shown(unit: str, amount: int) -> Decimal:
    return usd(amount) if unit == "usd" else Decimal(amount)


def _could(why: RunRefusal, worst: WorstCase, call: RunCall) -> tuple[Decimal | None, int | None, str | None]:
    """Return what a call could come to, with which output limit it would fit, and the name of that limit."""
    left = why.limit - why.spent - why.reserved
    name = output_limit(call.format, call.request_body)
    if why.unit == "calls":
        return None, None, None
    if why.unit == "tokens":
        most = left - (worst.tokens - worst.output)
        return Decimal(worst.tokens), most if name and most > 0 else None, name
    return usd(pico_up(worst.cost)), worst.output_for(left * ATTO // PICO) if name else None, name
