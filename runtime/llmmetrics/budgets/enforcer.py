"""Enforces a meter's budgets: opens the ledger, prices calls before they are sent, books them, closes at the end."""

from __future__ import annotations

import gc
import hashlib
import logging
import os
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar
from weakref import WeakMethod, finalize

from llmmetrics.budgets.amounts import pico_up, usd
from llmmetrics.budgets.answers import AnswerStore, LedgerAnswers
from llmmetrics.budgets.budget import SpendLimits
from llmmetrics.budgets.call_bounds import BoundedCall, CallBounds
from llmmetrics.budgets.from_settings import place_of, schedule_of
from llmmetrics.budgets.journal import Entry, Journal
from llmmetrics.budgets.ledgers import Ledger, open_ledger, state_directory
from llmmetrics.budgets.run_budget import SharedRunLedger
from llmmetrics.budgets.spend_alerts import SpendAlert
from llmmetrics.budgets.spend_limit import SpendLimit
from llmmetrics.budgets.worker import Worker
from llmmetrics.errors import BudgetExceeded, ConfigError, LedgerError
from llmmetrics.metrics.registry import PICO, Families, Spend
from llmmetrics.pricing.price import ATTO
from llmmetrics.pricing.worst_case import WorstCase, output_limit
from llmmetrics.reading.endings import End
from llmmetrics.settings.backends import Backends
from llmmetrics.settings.model import Backend, BudgetMode, Settings
from llmmetrics.settings.price_lookup import PriceLookup
from llmmetrics.system.child_end import ChildEnd
from llmmetrics.system.clock import Clock
from llmmetrics.wire.format import Billing

log = logging.getLogger("llmmetrics")

C = TypeVar("C", bound="BudgetedCall")

SCRAPE = 0.5
"""Seconds that a scrape waits for the ledger."""

RECURRENCE = 1.0
"""Seconds between two looks at what waits; a tenth of a lease, where that is less."""

SWEEP = 60.0
"""Seconds between two looks for named runs whose time is over."""

GOODBYE = 5.0
"""Seconds that the end of the process waits for what is still to be booked."""


T = TypeVar("T")

_FREE = WorstCase(0, 0, 0)


class BudgetHost(Protocol):
    """What an enforcer needs of the meter whose budgets it enforces."""

    clock: Clock
    families: Families
    price_lookup: PriceLookup
    backends: Backends
    dropped: deque[Callable[[End], None]]

    def swallow(self, where: str, exception: Exception) -> None:
        """Count an internal error and log it once."""

    def flush(self) -> None:
        """Count the calls that the garbage collector ended."""


class BudgetedCall(BoundedCall, Protocol):
    """What an enforcer reads of a call, and what it notes there."""

    admitted: Entry | None
    asynchronous: bool

    def discard(self) -> None:
        """Forget the call."""


class Enforcer:
    """The limits of a meter's backends, enforced for its calls.

    `recurring` is done about every second, on the enforcer's own thread.
    """

    def __init__(
        self,
        settings: Settings,
        limited: Mapping[str, Backend],
        host: BudgetHost,
        on_alert: Callable[[SpendAlert], object] | None,
        ledger: Ledger | None = None,
    ) -> None:
        self.settings = settings.budget
        url, namespace = place_of(settings)
        if ledger is None:
            try:
                ledger = open_ledger(url, namespace=namespace, durability=self.settings.durability)
            except LedgerError as exc:
                # an error at start-up, like any other in the configuration
                raise ConfigError(f"LlmSettings.Budget.Ledger: {exc}") from None
            _announce(ledger, limited)
        self.ledger = ledger
        lines = {
            name: SpendLimit(name, int(each.max_spend_usd * PICO), schedule_of(each))
            for name, each in limited.items()
            if each.max_spend_usd is not None
        }
        journal = Journal(state_directory() / "journal", _digest(f"{self.ledger.name} {namespace}"))
        self.budget = SpendLimits(self.settings, lines, self.ledger, journal, host.clock, host.families, on_alert)
        self._families, self._swallow, self._clock = host.families, host.swallow, host.clock
        self._sweeps_at = float("-inf")
        self._counts: Mapping[str, int] | None = None
        self.answers: AnswerStore = LedgerAnswers(self.budget)
        self.bounds = CallBounds(settings, host.price_lookup, host.backends, self.answers.find)
        self.strict = self.settings.mode is BudgetMode.STRICT
        again = WeakMethod(self._recur)
        interval = min(self.settings.lease_seconds / 10, RECURRENCE)
        self.worker = Worker("llmmetrics-ledger", interval, lambda: (recur := again()) and recur())
        self._flush = WeakMethod(host.flush)
        host.families.has_budgets(self.spends)
        # also at exit: what was spent is booked
        self.close = finalize(self, _goodbye, self.worker, self.budget, host.dropped)
        self._child_end = ChildEnd(self.close)

    def admit(self, call: BudgetedCall) -> BudgetExceeded | None:
        """Ask for a call; return the refusal if it may not be made."""
        if not self.worker.runs:
            self.worker.start()
        try:
            series = call.series
            worst: WorstCase | None = _FREE
            most: int | None = 0
            # else nothing is reserved, and the price is known, as for most calls
            if self.strict or series.price is None or call.format.bound is not None or call.format.batch is not None:
                worst = self._worst(call)
                most = None if worst is None else pico_up(worst.cost)
            answer = self.budget.admit(series.backend, most)
            if isinstance(answer, BudgetExceeded):
                return self._explained(answer, worst, call)
        except Exception as exc:
            self._swallow("budget", exc)
            return None
        call.admitted = answer
        return None

    async def aadmit(self, call: C, admit: Callable[[C], BudgetExceeded | None]) -> BudgetExceeded | None:
        """Do `admit`, which asks a ledger that blocks, for an async caller without blocking its event loop."""
        from anyio import to_thread

        asked = self.worker.submit(partial(admit, call))
        try:
            return await to_thread.run_sync(asked.result)
        except BaseException:
            # cancelled, and the ledger may just be reserving: the thread comes to this after that
            self.worker.submit(call.discard)
            raise

    def book(self, call: BudgetedCall) -> None:
        """Book a call's cost; if that is not known, the larger of its worst case and the part that is known."""
        entry = call.admitted
        if entry is None:
            return
        if call.amount is not None and call.unknown is None:
            amount, basis = call.amount, call.basis
        else:
            amount, basis = self.bounds.to_book(call, entry.amount, worst_cases=self.settings.books_worst_cases)
        if self.ledger.blocking:
            self.in_turn(call, partial(self.budget.book, entry, amount, basis))
        else:
            self.budget.book(entry, amount, basis)

    def in_turn(self, call: BudgetedCall, task: Callable[[], object]) -> None:
        """Do what asks the ledger: at once, or on the worker's thread if the caller is an event loop."""
        if call.asynchronous and self.ledger.blocking:
            self.worker.submit(task)
        else:
            task()

    def spends(self) -> Mapping[str, Spend]:
        """Read what every backend has spent; nothing from a ledger that does not answer at once."""
        found = self._asked(self._look)
        self._counts = found and found[1]
        return found[0] if found else {}

    def _look(self) -> tuple[Mapping[str, Spend], Mapping[str, int]]:
        return self.budget.spends(), self.answers.counts()

    def pending_amount(self, call: BudgetedCall) -> int:
        """Return what is booked for an answer until it is fetched: its worst case or an estimate."""
        reserved = call.admitted.amount if call.admitted else 0
        if not self.settings.books_worst_cases:
            return self.bounds.estimate(call)
        return reserved or (pico_up(self.bounds.worst(call).cost) if call.admitted else 0)

    def shared_runs(self) -> SharedRunLedger:
        """Return the ledger of named runs."""
        return SharedRunLedger(self.budget)

    def pending_answers(self) -> Mapping[str, int] | None:
        """Return the number of pending answers by backend, as `spends` has read it; None if the ledger was away."""
        return self._counts

    def _asked(self, ask: Callable[[], T]) -> T | None:
        try:
            return self.worker.submit(ask).result(SCRAPE) if self.ledger.blocking else ask()
        except LedgerError:
            return None
        except FutureTimeoutError:
            self._families["ledger_errors"].labels("slow").inc()
            return None

    def _worst(self, call: BudgetedCall) -> WorstCase | None:
        """Return what is reserved for a call before it is sent; outside `strict` 0. None: no price is known."""
        if call.format.billing is Billing.FREE:
            return _FREE
        if not self.strict and call.format.bound is None and call.format.batch is None:
            return _FREE if self.bounds.price(call) is not None else None
        worst = self.bounds.worst(call)
        if not worst.priced:
            return None
        return worst if self.strict else _FREE

    def _explained(self, refusal: BudgetExceeded, worst: WorstCase | None, call: BudgetedCall) -> BudgetExceeded:
        """Say in a strict refusal what the call could have cost, and with which output limit it would fit."""
        if not self.strict or refusal.reason != "limit" or worst is None:
            return refusal
        left = refusal.limit - refusal.spent - refusal.reserved
        name = output_limit(call.format, call.request_body)
        most = worst.output_for(int(left * ATTO)) if name else None
        return BudgetExceeded(*(*refusal.args[:7], usd(pico_up(worst.cost)), most, name, refusal.worst_case))

    def _recur(self) -> None:
        if flush := self._flush():
            flush()
        self.budget.recur()
        self._sweep()

    def _sweep(self) -> None:
        """Delete the named runs whose time is over, now and then."""
        if self._clock.monotonic() >= self._sweeps_at:
            self._sweeps_at = self._clock.monotonic() + SWEEP
            with suppress(LedgerError):
                self.shared_runs().sweep(self._clock.now())


def _announce(ledger: Ledger, limited: Mapping[str, Backend]) -> None:
    log.info("the budgets of %s are kept in %s: %s", ", ".join(limited) or "runs and tags", ledger.name, ledger.reach)
    if ledger.local and "KUBERNETES_SERVICE_HOST" in os.environ:
        log.warning(
            "the budgets are kept in %s, which is %s: under Kubernetes every pod has a budget of its own, and a new "
            "one starts at 0. Set LlmSettings.Budget.Ledger to a redis:// URL",
            ledger.name,
            ledger.reach,
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _goodbye(worker: Worker, budget: SpendLimits, dropped: deque[Callable[[End], None]]) -> None:
    if budget.in_flight:
        # answers that no code holds any more, except in a reference cycle
        gc.collect()
    with suppress(IndexError):
        while True:
            dropped.popleft()(End.DROPPED)
    worker.close(GOODBYE)
    # a callback may make calls, which the ledger's thread books
    budget.alerts.worker.close(GOODBYE)
    worker.close(GOODBYE)
    with suppress(Exception):
        budget.recur()
        budget.retire()
    budget.ledger.close()
