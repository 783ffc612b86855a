"""What a call may come to at most, before it is sent, and what to book for it after its end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Protocol

from llmmetrics.budgets.amounts import pico_up
from llmmetrics.budgets.answers import AnswerKey, Kept
from llmmetrics.budgets.batch_cost import BatchCost, BatchPricing
from llmmetrics.budgets.ledgers import Basis
from llmmetrics.metrics.registry import CallSeries
from llmmetrics.pricing.max_output import shows_all
from llmmetrics.pricing.price import Price
from llmmetrics.pricing.surcharges import dearest_geo
from llmmetrics.pricing.worst_case import UNPRICED, WorstCase, most_of, worst_case
from llmmetrics.reading.outcome import COMPLETE
from llmmetrics.settings.backends import Backends
from llmmetrics.settings.model import Settings
from llmmetrics.settings.price_lookup import Place, PriceLookup
from llmmetrics.wire import asked_fields
from llmmetrics.wire.estimation.estimate import prompt_tokens
from llmmetrics.wire.format import Format
from llmmetrics.wire.framing.body_buffer import BodyBuffer
from llmmetrics.wire.framing.frames import parse
from llmmetrics.wire.later import Batch
from llmmetrics.wire.tiers import asked_region, asked_tier, region_of

log = logging.getLogger("llmmetrics")


class BoundedCall(Protocol):
    """What is read of a call."""

    series: CallSeries
    format: Format
    model: str | None
    request_body: bytes
    amount: int | None
    known_amount: int
    basis: Basis
    unknown: str | None
    batch: BatchCost | None
    buffer: BodyBuffer

    @property
    def request_size(self) -> int:
        """In bytes, with the uploads that are not in `request_body`."""

    @property
    def route(self) -> Place:
        """Where the call goes."""


class CallBounds:
    """Bounds of a meter's calls, by its prices and settings."""

    def __init__(
        self,
        settings: Settings,
        price_lookup: PriceLookup,
        backends: Backends,
        find: Callable[[AnswerKey], Kept | None],
    ) -> None:
        self._most_output = {each.name: each.worst_output_tokens for each in settings.backends}
        self._estimates = not settings.budget.books_worst_cases
        self._price_lookup = price_lookup
        self._backends = backends
        self._find = find
        """Finds what is kept of an answer or an uploaded file."""
        self._unseen_told = False

    def price(self, call: BoundedCall) -> Price | None:
        """Return the price of a call that is billed by its usage; None if it is not known."""
        if call.series.price is not None:
            return call.series.price
        tier, region = asked_tier(call.format, call.request_body), None
        if call.format.geo_name is not None:
            # the region that makes it cost most
            region = region_of(dearest_geo(call.model, asked_region(call.format, call.request_body)))
        return self._price_lookup.listed(call.route, (call.model,), tier, region)

    def worst(self, call: BoundedCall) -> WorstCase:
        """Return the most that a call may come to; note what a batch may."""
        if call.format.batch is not None:
            call.batch = self._batch_cost(call, call.format.batch)
            return UNPRICED if call.batch is None else WorstCase(call.batch.worst, 0, 0)
        if call.format.bound is None:
            window = self._price_lookup.window(call.route, call.model)
            most = self._most_output.get(call.series.backend)
            return worst_case(self.price(call), call.format, call.request_body, window, call.model, most=most)

        def part_price(model: str | None) -> Price | None:
            """Return the price of a part of a call, by the name that the part has in the price list."""
            return call.series.price or self._price_lookup.listed(call.route, (model, call.model))

        asked = {**asked_fields(call.request_body), "model": call.model}
        return most_of(call.format.bound(asked, call.request_size), part_price) or UNPRICED

    def estimate(self, call: BoundedCall) -> int:
        """Return what a call whose answer comes later may cost, in pico-dollars: its prompt, or a batch's estimate."""
        if call.batch is not None:
            return pico_up(call.batch.estimate)
        price = self.price(call)
        if price is None or call.format.batch:
            return 0
        tokens = prompt_tokens(call.request_body, call.format, call.model)
        return pico_up(price.at(tokens).get("input", 0) * tokens)

    def pricing(self, backend: str, place: Place) -> BatchPricing:
        """Return what prices the requests of batches of a backend."""
        own, most = partial(self._backends.own_price, backend), self._most_output.get(backend)
        return BatchPricing(self._price_lookup, place, own, most, estimates=self._estimates)

    def _batch_cost(self, call: BoundedCall, batch: Batch) -> BatchCost | None:
        """Return what a batch may cost; None if that is not known: a file was not seen, or a price is not known."""
        fields = parse(call.request_body)
        if not isinstance(fields, dict):
            return None
        total = self.pricing(call.series.backend, call.route).requests(batch.requests(fields, call.model))
        for file in batch.inputs(fields):
            row = self._find(AnswerKey.of(call.route.provider or "", file, "upload"))
            seen = BatchCost.of(row.note) if row else None
            if seen is None and not self._unseen_told:
                self._unseen_told = True
                log.warning(
                    "what a batch at %r may cost is not known: no metered client has uploaded its file, or a price of "
                    "its requests is not known. LlmSettings.Budget.OnUnknownPrice decides about it (docs/later.md)",
                    call.series.backend,
                )
            total = total.plus(seen) if total and seen else None
        return total if total and total.requests else None

    def to_book(self, call: BoundedCall, reserved: int, *, worst_cases: bool) -> tuple[int, Basis]:
        """Return what to book for a call, in pico-dollars: with `worst_cases`, its most if its usage is not known."""
        if call.amount is None:
            return max(reserved, call.known_amount), Basis.WORST_CASE
        if call.unknown is None or not worst_cases:
            return call.amount, call.basis
        worst = self.worst(call)
        if not worst.priced:
            # the answer had a price
            return max(reserved, call.amount), Basis.WORST_CASE
        most = reserved or pico_up(worst.cost)
        if call.unknown == COMPLETE and shows_all(call.model):
            # a token has at least a byte
            most = min(most, pico_up(worst.cost_of(call.buffer.body().total)))
        # not its estimate, which may be above what the request allows
        return max(most, call.known_amount), Basis.WORST_CASE
