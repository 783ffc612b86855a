"""A price book: the cost of the tokens of many calls, all at the prices of one moment.

Uses the meters' configured prices, else the catalogue's, by the same rules as a meter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from typing import Any

from llmmetrics.core.record import CallRecord
from llmmetrics.pricing.catalogue import Catalogue
from llmmetrics.pricing.price import ATTO, Price, attodollars, dollars
from llmmetrics.wire.hosts import LOCAL
from llmmetrics.wire.usage import Usage, usage_of

__all__ = [
    "ATTO",
    "Price",
    "PriceBook",
    "attodollars",
    "cost",
    "digest",
    "dollars",
    "in_bands",
    "plain",
    "price_of",
    "usage",
]

_LOCAL = "local"
"""The seller of models that no catalogue has."""

_ANY = ""
"""The model of a configured price that applies to any model."""


class PriceBook:
    """Prices by backend and model. It learns backends from records, or from another book's `known`."""

    def __init__(self, at: datetime | None = None, price_file: str | None = None) -> None:
        """Make a book of the prices at a moment. Raises `ConfigError` for a wrong price file."""
        self.at = at or datetime.now(UTC)
        self._sheet = None
        if price_file is not None:
            from llmmetrics.settings import price_file as price_files

            self._sheet = price_files.read(price_file, "--llm-prices")
        self._catalogue = Catalogue()
        self._sellers: dict[str, str | None] = {}
        self._places: dict[str, tuple[str, str | None]] = {}
        """URL and configured seller of backends whose seller is not looked up yet."""
        self._configured: dict[str, dict[str, Price]] = {}
        self._filed: dict[str, dict[str, Price]] = {}
        """The price file's prices by backend, for the models and tiers that were seen; see `_name`."""
        self._seen: dict[tuple[str, int], object] = {}

    @property
    def version(self) -> str:
        """The catalogue's distribution and version."""
        return f"genai-prices {version('genai-prices')}"

    def learn(self, record: CallRecord) -> None:
        """Remember the prices of a call's backend, from its meter and URL."""
        backends = record.meter.backends.all
        self._learn_filed(record)
        key = (record.backend, id(backends))
        if key in self._seen:
            return
        # kept, so that its id is not reused
        self._seen[key] = backends
        own = next((each for each in backends if each.name == record.backend), None)
        if own is not None and own.price is not None:
            for model in own.models or (_ANY,):
                self._configure(record.backend, model, own.price)
        if own.local if own else record.provider in LOCAL:
            self._sellers.setdefault(record.backend, _LOCAL)
        elif record.backend not in self._sellers:
            # loading the catalogue is slow, and the observer runs in the middle of a test
            self._places.setdefault(record.backend, (record.url, own.seller if own else None))

    def _learn_filed(self, record: CallRecord) -> None:
        """Remember the price file's prices of a call's models."""
        if (sheet := record.meter.price_lookup.sheet) is None:
            return
        own = next((each for each in record.meter.backends.all if each.name == record.backend), None)
        seller = own.seller if own else None
        for model in {record.model, record.model_responded, *(part.model for part in record.parts)} - {None}:
            if model and (price := sheet.price(model, record.provider, seller, lambda: self.at, record.tier)):
                _keep_dearest(self._filed.setdefault(record.backend, {}), _name(model, record.tier), price)

    def _seller(self, backend: str) -> str | None:
        if backend not in self._sellers and (place := self._places.get(backend)):
            url, own = place
            self._sellers[backend] = self._catalogue.seller(url) or own
        return self._sellers.get(backend)

    def _configure(self, backend: str, model: str, price: Price) -> None:
        _keep_dearest(self._configured.setdefault(backend, {}), model, price)

    def price(self, backend: str, model: str, answered: str | None = None, tier: str | None = None) -> Price | None:
        """Return the price of a call to this backend that requested `model`; None if no price is known."""
        own, filed = self._configured.get(backend, {}), self._filed.get(backend, {})
        if price := own.get(model) or own.get(_ANY):
            return price
        for name in (answered, model):
            if name and (price := filed.get(_name(name, tier))):
                return price
        seller = self._seller(backend)
        names = (answered, model)
        if self._sheet is not None and (price := self._sheet.first(names, backend, seller, lambda: self.at, tier)):
            return price
        if seller == _LOCAL:
            return None
        price = self._catalogue.first((answered, model), "", seller, lambda: self.at, tier)
        # a fee that no count shows: such a call has no known cost
        return None if price and price.request_fee else price

    def window(self, backend: str, model: str) -> int | None:
        """Return the context window of a model at this backend, in tokens; None if it is not known."""
        seller = self._seller(backend)
        return None if seller == _LOCAL else self._catalogue.window(model, "", seller)

    def known(self) -> dict[str, Any]:
        """Export what was learnt, as plain values for JSON."""
        return {
            "sellers": {name: self._seller(name) for name in (*self._sellers, *self._places)},
            "configured": _plainly(self._configured),
            "filed": _plainly(self._filed),
        }

    def learn_known(self, known: Mapping[str, Any]) -> None:
        """Learn another book's prices; existing ones stay."""
        for backend, seller in known.get("sellers", {}).items():
            self._sellers.setdefault(backend, seller)
        for backend, own in known.get("configured", {}).items():
            for model, price in own.items():
                self._configure(backend, model, price_of(price))
        for backend, filed in known.get("filed", {}).items():
            for name, price in filed.items():
                _keep_dearest(self._filed.setdefault(backend, {}), name, price_of(price))


def _name(model: str, tier: str | None) -> str:
    return f"{model} [{tier}]" if tier else model


def _keep_dearest(known: dict[str, Price], name: str, price: Price) -> None:
    # two meters may have two prices: the order of the tests must not matter
    known[name] = max(known.get(name, price), price, key=lambda each: sorted(each.units.items()))


def _plainly(prices: Mapping[str, Mapping[str, Price]]) -> dict[str, dict[str, Any]]:
    return {backend: {name: plain(price) for name, price in own.items()} for backend, own in prices.items()}


def in_bands(price: Price | None, usage: Usage) -> dict[str, int]:
    """Rename the buckets of one call, so that they can be added to those of others.

    If a long prompt has another price, the names are like `input>200000`.
    """
    over = next((threshold for threshold, _ in price.tiers if usage.prompt > threshold), None) if price else None
    return dict(usage.buckets) if over is None else {f"{name}>{over}": n for name, n in usage.buckets.items()}


def cost(price: Price | None, buckets: Mapping[str, int]) -> int | None:
    """Compute the cost of buckets named by `in_bands`, in attodollars; None if one of them has no known price."""
    total = 0
    for name, n in buckets.items():
        bucket, _, over = name.partition(">")
        units = {} if price is None else price.at(int(over) + 1) if over else price.units
        if bucket not in units:
            return None
        total += units[bucket] * n
    return total


def usage(buckets: Mapping[str, int]) -> Usage:
    """Add buckets named by `in_bands` to a usage, without their bands."""
    summed: dict[str, int] = {}
    for name, n in buckets.items():
        bucket = name.partition(">")[0]
        summed[bucket] = summed.get(bucket, 0) + n
    return usage_of(summed)


def plain(price: Price) -> dict[str, Any]:
    """Convert a price to strings, in USD for a million of each bucket."""
    named = {"usd": _per_million(price.units)}
    return {**named, "over": [[over, _per_million(units)] for over, units in price.tiers]} if price.tiers else named


def price_of(plain: Mapping[str, Any]) -> Price:
    """Convert the strings of `plain` to a price."""
    return Price(_units(plain["usd"]), tuple((int(over), _units(units)) for over, units in plain.get("over", ())))


def digest(price: Price) -> str:
    """Compute a short digest of a price, to detect a later change."""
    text = repr((sorted(price.units.items()), [(over, sorted(units.items())) for over, units in price.tiers]))
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def _per_million(units: Mapping[str, int]) -> dict[str, str]:
    return {name: f"{dollars(n * 10**6):f}" for name, n in sorted(units.items())}


def _units(per_million: Mapping[str, str]) -> dict[str, int]:
    return {name: int(Decimal(amount) * ATTO / 10**6) for name, amount in per_million.items()}
