"""What a call may come to at most, before it is sent, and what to book for it after its end."""

from __future__ import annotations

from typing import Protocol

from llmmetrics.budgets.budget import pico_up
from llmmetrics.budgets.ledgers import Basis
from llmmetrics.metrics.registry import CallSeries
from llmmetrics.pricing.max_output import shows_all
from llmmetrics.pricing.price import Price
from llmmetrics.pricing.worst_case import UNPRICED, WorstCase, most_of, worst_case
from llmmetrics.reading.outcome import COMPLETE
from llmmetrics.settings.model import Settings
from llmmetrics.settings.price_lookup import Place, PriceLookup
from llmmetrics.wire import asked_fields
from llmmetrics.wire.format import Format
from llmmetrics.wire.framing.body_buffer import BodyBuffer
from llmmetrics.wire.tiers import asked_tier


class BoundedCall(Protocol):
    """What is read of a call."""

    series: CallSeries
    format: Format
    model: str | None
    request_body: bytes
    request_size: int
    amount: int | None
    known_amount: int
    basis: Basis
    unknown: str | None
    buffer: BodyBuffer

    @property
    def route(self) -> Place:
        """Where the call goes."""


class CallBounds:
    """Bounds of a meter's calls, by its prices and settings."""

    def __init__(self, settings: Settings, price_lookup: PriceLookup) -> None:
        self._most_output = {each.name: each.worst_output_tokens for each in settings.backends}
        self._price_lookup = price_lookup

    def price(self, call: BoundedCall) -> Price | None:
        """Return the price of a call that is billed by its usage; None if it is not known."""
        tier = asked_tier(call.format, call.request_body)
        return call.series.price or self._price_lookup.listed(call.route, (call.model,), tier)

    def worst(self, call: BoundedCall) -> WorstCase:
        """Return the most that a call may come to."""
        if call.format.bound is None:
            window = self._price_lookup.window(call.route, call.model)
            most = self._most_output.get(call.series.backend)
            return worst_case(self.price(call), call.format, call.request_body, window, call.model, most=most)

        def part_price(model: str | None) -> Price | None:
            """Return the price of a part of a call, by the name that the part has in the price list."""
            return call.series.price or self._price_lookup.listed(call.route, (model, call.model))

        asked = {**asked_fields(call.request_body), "model": call.model}
        return most_of(call.format.bound(asked, call.request_size), part_price) or UNPRICED

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
        return max(most, call.amount), Basis.WORST_CASE
