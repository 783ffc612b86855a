"""Prices a finished call: configured prices, the price file, the wire's own cost, the catalogue, in this order."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Protocol

from llmmetrics.core.routes import Route
from llmmetrics.metrics.registry import CallSeries
from llmmetrics.pricing.price import Price, attodollars, cost_of
from llmmetrics.reading.outcome import Outcome
from llmmetrics.settings.price_lookup import PriceLookup
from llmmetrics.wire.format import Charge
from llmmetrics.wire.usage import Usage


class PricedCall(Protocol):
    """What decides the price of a call, or of an answer that was fetched."""

    @property
    def route(self) -> Route: ...

    @property
    def series(self) -> CallSeries: ...

    @property
    def model(self) -> str | None:
        """The model that was asked for."""


def call_cost(price_lookup: PriceLookup, call: PricedCall, outcome: Outcome, usage: Usage) -> int | None:
    """Compute a call's cost in attodollars; None if no price is known."""
    if outcome.wire_cost is not None and is_free(outcome):
        return 0
    own = call.series.price
    if own is not None:
        return cost_of(outcome.charges, lambda _: own) if outcome.charges else own.of(usage)
    if (wire := wire_cost(price_lookup, call, outcome)) is not None:
        return attodollars(wire)
    if outcome.charges:
        return cost_of(outcome.charges, _listed(price_lookup, call, outcome, outcome.tier))
    price = price_lookup.listed(call.route, (outcome.model, call.model), outcome.tier, outcome.geo)
    return None if price is None else price.of(usage)


def is_free(outcome: Outcome) -> bool:
    """Whether the provider bills nothing, at any price: a format reports this as a cost of 0, a host never does."""
    return outcome.wire_cost is not None and not outcome.wire_cost


def least_cost(price_lookup: PriceLookup, call: PricedCall, outcome: Outcome, usage: Usage) -> int:
    """Compute a lower bound of a cost that is only partly known, in attodollars: its tokens at standard prices."""
    listed = _listed(price_lookup, call, outcome, None)
    charges = outcome.charges or (Charge(None, usage),)
    prices = [(call.series.price or listed(charge.model), charge.usage) for charge in charges]
    return sum(price.least(used) for price, used in prices if price)


def wire_cost(price_lookup: PriceLookup, call: PricedCall, outcome: Outcome) -> Decimal | None:
    """Return the cost on the wire, in dollars; None if there is none, or the user's own price applies."""
    if is_free(outcome):
        return outcome.wire_cost
    if outcome.wire_cost is None or call.series.price is not None:
        return None
    names = (*(charge.model for charge in outcome.charges), outcome.model, call.model)
    return outcome.wire_cost if price_lookup.filed(call.route, names, outcome.tier) is None else None


def _listed(
    price_lookup: PriceLookup, call: PricedCall, outcome: Outcome, tier: str | None
) -> Callable[[str | None], Price | None]:
    """Return a price lookup by a part's model, else by the model that answered or was requested."""
    names, listed, geo = (outcome.model, call.model), price_lookup.listed, outcome.geo
    return lambda model: (model and listed(call.route, (model,), tier, geo)) or listed(call.route, names, tier, geo)
