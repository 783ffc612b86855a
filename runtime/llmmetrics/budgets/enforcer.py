"""Enforces a meter's budgets: opens the ledger, prices calls before they are sent, books them, closes at the end."""

from __future__ import annotations

import gc
import hashlib
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar
from weakref import WeakMethod, finalize

from llmmetrics.budgets.answers import AnswerKey, AnswerStore, LedgerAnswers, provider_key
from llmmetrics.budgets.batch_cost import BatchCost, BatchPricing
from llmmetrics.budgets.budget import SpendAlert, SpendLimit, SpendLimits, pico_up, usd
from llmmetrics.budgets.journal import Entry, Journal
from llmmetrics.budgets.ledgers import Basis, Ledger, default_url, open_ledger, state_directory
from llmmetrics.budgets.worker import Worker
from llmmetrics.errors import BudgetExceeded, ConfigError, LedgerError
from llmmetrics.metrics.registry import PICO, CallSeries, Families, Spend
from llmmetrics.pricing.max_output import shows_all
from llmmetrics.pricing.price import ATTO, Price
from llmmetrics.pricing.surcharges import dearest_geo
from llmmetrics.pricing.worst_case import WorstCase, most_of, output_limit, worst_case
from llmmetrics.reading.endings import End
from llmmetrics.reading.outcome import COMPLETE
from llmmetrics.settings.backends import Backends
from llmmetrics.settings.model import Backend, BudgetMode, OnUnknownPrice, Settings
from llmmetrics.settings.price_lookup import Place, PriceLookup
from llmmetrics.settings.windows import WindowSchedule
from llmmetrics.system.child_end import ChildEnd
from llmmetrics.system.clock import Clock
from llmmetrics.wire import asked_fields
from llmmetrics.wire.estimation.estimate import prompt_tokens
from llmmetrics.wire.format import Billing, Format
from llmmetrics.wire.framing.body_buffer import BodyBuffer
from llmmetrics.wire.framing.frames import parse
from llmmetrics.wire.later import Batch
from llmmetrics.wire.tiers import asked_region, asked_tier, region_of

log = logging.getLogger("llmmetrics")

SCRAPE = 0.5
"""Seconds that a scrape waits for the ledger."""

RECURRENCE = 1.0
"""Seconds between two looks at what waits; a third of a lease, where that is less."""

GOODBYE = 5.0
"""Seconds that the end of the process waits for what is still to be booked."""


T = TypeVar("T")

_FREE = WorstCase(0, 0, 0)


def schedule_of(backend: Backend) -> WindowSchedule:
    """Read from the settings when this backend's windows begin."""
    return WindowSchedule(
        backend.spend_reset_period,
        backend.spend_reset_day_of_week,
        backend.spend_reset_day_of_month,
        backend.spend_reset_time_zone,
    )


def place_of(settings: Settings) -> tuple[str, str]:
    """Return the URL of the ledger that keeps these budgets, and their namespace there."""
    namespace = settings.budget.namespace or settings.telemetry.service_name
    ledger = settings.budget.ledger
    return default_url(namespace) if ledger is None else ledger, namespace


def unpriced(settings: Settings, backends: Backends, price_lookup: PriceLookup) -> Iterator[str]:
    """Describe each limited backend whose own models have no price: it could take no call."""
    budget = settings.budget
    if budget.on_unknown_price is not OnUnknownPrice.REFUSE or budget.mode is BudgetMode.SHADOW:
        return
    for backend, matched in zip(settings.backends, backends.all, strict=True):
        if backend.max_spend_usd is None or matched.price:
            continue
        whose = [f"its model {model!r}" for model in sorted(matched.models) if not price_lookup.knows(matched, model)]
        if matched.local and not matched.models and price_lookup.sheet is None:
            whose = ["a model that runs at home"]
        for what in whose:
            yield (
                f"backend {backend.name!r} has MaxSpendUsd, and no price is known for {what}: set "
                "CostPerMillionInputTokens and CostPerMillionOutputTokens, or LlmSettings.Budget.OnUnknownPrice to warn"
            )


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


class BudgetedCall(Protocol):
    """What an enforcer reads of a call, and what it notes there."""

    series: CallSeries
    format: Format
    model: str | None
    request_body: bytes
    request_size: int
    admitted: Entry | None
    amount: int | None
    known_amount: int
    basis: Basis
    batch: BatchCost | None
    unknown: str | None
    buffer: BodyBuffer
    asynchronous: bool

    @property
    def route(self) -> Place:
        """Where the call goes."""

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
        self._most_output = {name: each.worst_output_tokens for name, each in limited.items()}
        journal = Journal(state_directory() / "journal", _digest(f"{self.ledger.name} {namespace}"))
        self.budget = SpendLimits(self.settings, lines, self.ledger, journal, host.clock, host.families, on_alert)
        self._families, self._price_lookup, self._swallow = host.families, host.price_lookup, host.swallow
        self._backends = host.backends
        self.answers: AnswerStore = LedgerAnswers(self.budget)
        self.strict = self.settings.mode is BudgetMode.STRICT
        again = WeakMethod(self._recur)
        interval = min(self.settings.lease_seconds / 3, RECURRENCE)
        self.worker = Worker("llmmetrics-ledger", interval, lambda: (recur := again()) and recur())
        self._flush = WeakMethod(host.flush)
        host.families.has_budgets(self.spends)
        # also at exit: what was spent is booked
        self.close = finalize(self, _goodbye, self.worker, self.budget, host.dropped)
        self._child_end = ChildEnd(self.close)

    def admit(self, call: BudgetedCall) -> BudgetExceeded | None:
        """Ask for a call; return the refusal if it may not be made."""
        self.worker.start()
        try:
            worst = self._worst(call)
            answer = self.budget.admit(call.series.backend, None if worst is None else pico_up(worst.cost))
            if isinstance(answer, BudgetExceeded):
                return self._explained(answer, worst, call)
        except Exception as exc:
            self._swallow("budget", exc)
            return None
        call.admitted = answer
        return None

    async def aadmit(self, call: BudgetedCall) -> BudgetExceeded | None:
        """Ask for a call of an async caller, without blocking its event loop."""
        call.asynchronous = True
        if not self.ledger.blocking:
            return self.admit(call)
        from anyio import to_thread

        asked = self.worker.submit(partial(self.admit, call))
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
        amount, basis = self._to_book(call, entry)
        if call.asynchronous and self.ledger.blocking:
            self.worker.submit(partial(self.budget.book, entry, amount, basis))
        else:
            self.budget.book(entry, amount, basis)

    def _to_book(self, call: BudgetedCall, entry: Entry) -> tuple[int, Basis]:
        if call.amount is None:
            return max(entry.amount, call.known_amount), Basis.WORST_CASE
        if call.unknown is None or not self.settings.books_worst_cases:
            return call.amount, call.basis
        worst = self._most(call)
        if worst is None:
            # the answer had a price
            return max(entry.amount, call.amount), Basis.WORST_CASE
        most = entry.amount or pico_up(worst.cost)
        if call.unknown == COMPLETE and shows_all(call.model):
            # a token has at least a byte
            most = min(most, pico_up(worst.cost_of(call.buffer.body().total)))
        return max(most, call.amount), Basis.WORST_CASE

    def spends(self) -> Mapping[str, Spend]:
        """Read what every backend has spent; nothing from a ledger that does not answer at once."""
        return self._asked(self.budget.spends) or {}

    def pending_amount(self, call: BudgetedCall) -> int:
        """Return what is booked for an answer until it is fetched: its worst case or an estimate."""
        if self.settings.books_worst_cases:
            worst = None if call.admitted is None or call.admitted.amount else self._most(call)
            reserved = call.admitted.amount if call.admitted else 0
            return reserved or (pico_up(worst.cost) if worst else 0)
        if call.batch is not None:
            return pico_up(call.batch.estimate)
        price = self._price(call)
        if price is None or call.format.batch:
            return 0
        tokens = prompt_tokens(call.request_body, call.format, call.model)
        return pico_up(price.at(tokens).get("input", 0) * tokens)

    def pending_answers(self) -> Mapping[str, int] | None:
        """Count the pending answers by backend; None of a ledger that does not answer at once."""
        return self._asked(self.answers.counts)

    def _asked(self, ask: Callable[[], Mapping[str, T]]) -> Mapping[str, T] | None:
        try:
            return self.worker.submit(ask).result(SCRAPE) if self.ledger.blocking else ask()
        except LedgerError:
            return None
        except FutureTimeoutError:
            self._families["ledger_errors"].labels("slow").inc()
            return None

    def pricing(self, backend: str, place: Place) -> BatchPricing:
        """Return what prices the requests of batches of a backend."""
        return BatchPricing(self._price_lookup, place, lambda model: self._backends.own_price(backend, model))

    def _batch_cost(self, call: BudgetedCall, batch: Batch) -> BatchCost | None:
        """Return what a batch may cost; None if that is not known: a file was not seen, or a price is not known."""
        fields = parse(call.request_body)
        if not isinstance(fields, dict):
            return None
        pricing = self.pricing(call.series.backend, call.route)
        total = pricing.requests(batch.requests(fields, call.model))
        for file in batch.inputs(fields):
            row = self.answers.find(AnswerKey(f"upload:{provider_key(call.route.provider or '')}:{file}"))
            seen = BatchCost.of(row.note) if row else None
            total = total.plus(seen) if total and seen else None
        return total if total and total.requests else None

    def _worst(self, call: BudgetedCall) -> WorstCase | None:
        """Return what is reserved for a call before it is sent; None if no price is known."""
        if call.format.billing is Billing.FREE:
            return _FREE
        if self.strict or call.format.bound is not None or call.format.batch is not None:
            most = self._most(call)
            return most if self.strict or most is None else _FREE
        return None if self._price(call) is None else _FREE

    def _most(self, call: BudgetedCall) -> WorstCase | None:
        """Return the most that a call may cost; None if no price is known."""
        if call.format.batch is not None:
            call.batch = self._batch_cost(call, call.format.batch)
            return None if call.batch is None else WorstCase(call.batch.worst, 0, 0)
        if call.format.bound is not None:
            asked = {**asked_fields(call.request_body), "model": call.model}
            return most_of(call.format.bound(asked, call.request_size), partial(self._part_price, call))
        price = self._price(call)
        if price is None:
            return None
        window = self._price_lookup.window(call.route, call.model)
        most = self._most_output.get(call.series.backend)
        return worst_case(price, call.format, call.request_body, window, call.model, most=most)

    def _region(self, call: BudgetedCall) -> str | None:
        """Return the region that makes a call cost most."""
        if call.format.geo_name is None:
            return None
        return region_of(dearest_geo(call.model, asked_region(call.format, call.request_body)))

    def _price(self, call: BudgetedCall) -> Price | None:
        tier = asked_tier(call.format, call.request_body)
        return call.series.price or self._price_lookup.listed(call.route, (call.model,), tier, self._region(call))

    def _part_price(self, call: BudgetedCall, model: str | None) -> Price | None:
        """Return the price of a part of a call, by the name that the part has in the price list."""
        return call.series.price or self._price_lookup.listed(call.route, (model, call.model))

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


def _announce(ledger: Ledger, limited: Mapping[str, Backend]) -> None:
    log.info("the budgets of %s are kept in %s: %s", ", ".join(limited), ledger.name, ledger.reach)
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
    budget.alerts.close(GOODBYE)
    worker.close(GOODBYE)
    with suppress(Exception):
        budget.recur()
        budget.retire()
    budget.ledger.close()
