"""What a call costs: prices per bucket as integers, so that a call's arithmetic is exact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from llmmetrics.usage import FEES, Usage
from llmmetrics.wire.format import Charge

ATTO = 10**18
"""Money is counted in attodollars: a price per million tokens may have 12 decimals."""

_PER_MILLION = ATTO // 10**6
_PER_THOUSAND = ATTO // 10**3


def dollars(atto: int) -> Decimal:
    """An integer amount as an exact Decimal in USD."""
    return Decimal(atto).scaleb(-18).normalize()


def attodollars(usd: Decimal) -> int:
    """USD as an integer amount; more than 18 decimals are rounded."""
    return int(usd.scaleb(18).to_integral_value())


@dataclass(frozen=True, slots=True)
class Price:
    """Attodollars for one unit of each bucket; a bucket that is missing has no known price."""

    units: Mapping[str, int]
    tiers: tuple[tuple[int, Mapping[str, int]], ...] = ()
    """From the highest threshold down: the prices of a call with more prompt tokens than that."""

    def at(self, prompt: int) -> Mapping[str, int]:
        """The prices of a call with so many prompt tokens."""
        for threshold, dearer in self.tiers:
            if prompt > threshold:
                return dearer
        return self.units

    def of(self, usage: Usage) -> int | None:
        """What this usage costs, or None where a bucket in it has no price."""
        units = self.at(usage.prompt) if self.tiers else self.units
        buckets = usage.buckets
        try:
            return sum([units[name] * n for name, n in buckets.items()])
        except KeyError:
            pass
        if not buckets.keys() - FEES <= units.keys():
            return None
        return sum(units.get(name, 0) * n for name, n in buckets.items())


def configured(
    *, prompt: Decimal, completion: Decimal, cache_read: Decimal | None = None, cache_write: Decimal | None = None
) -> Price:
    """A backend's own prices, in USD per million tokens. A cache without a price costs what fresh input does."""
    read = prompt if cache_read is None else cache_read
    write = prompt if cache_write is None else cache_write
    table = {bucket: _AT[bucket] for bucket in _AT}
    kinds = {"input": prompt, "cache_read": read, "cache_write": write, "output": completion}
    return Price({bucket: int(kinds[kind] * _PER_MILLION) for bucket, kind in table.items()})


_AT: dict[str, str] = {
    **{f"input{suffix}": "input" for suffix in ("", "_audio", "_image", "_video")},
    **{f"cache_read{suffix}": "cache_read" for suffix in ("", "_audio", "_image", "_video")},
    "cache_write": "cache_write",
    "cache_write_1h": "cache_write",
    **dict.fromkeys(("output", "reasoning", "output_audio", "output_image"), "output"),
}

# bucket → the catalogue's names for its price, the first that there is
_CATALOGUE: dict[str, tuple[str, ...]] = {
    "input": ("input_mtok",),
    **{f"input_{each}": (f"input_{each}_mtok", "input_mtok") for each in ("audio", "image", "video")},
    "cache_read": ("cache_read_mtok", "input_mtok"),
    **{
        f"cache_read_{each}": (f"cache_{each}_read_mtok", "cache_read_mtok", f"input_{each}_mtok", "input_mtok")
        for each in ("audio", "image", "video")
    },
    "cache_write": ("cache_write_5m_mtok", "cache_write_mtok", "input_mtok"),
    "cache_write_1h": ("cache_write_1h_mtok", "cache_write_mtok", "input_mtok"),
    "output": ("output_mtok",),
    "reasoning": ("output_reasoning_mtok", "output_mtok"),
    **{f"output_{each}": (f"output_{each}_mtok", "output_mtok") for each in ("audio", "image")},
    "web_search": ("web_searches_kcount",),
}


def from_catalogue(prices: Any) -> Price:
    """The price table of a genai-prices `ModelPrice`."""
    named = {name: value for name, value in vars(prices).items() if value is not None}
    starts = {tier.start for value in named.values() for tier in getattr(value, "tiers", ())}

    def table(prompt: int) -> dict[str, int]:
        units = {}
        for bucket, names in _CATALOGUE.items():
            value = next((named[name] for name in names if name in named), None)
            if value is None:
                continue
            for tier in reversed(getattr(value, "tiers", ())):
                if prompt > tier.start:
                    value = tier.price
                    break
            per = _PER_THOUSAND if bucket in FEES else _PER_MILLION
            units[bucket] = int(getattr(value, "base", value) * per)
        return units

    tiers = tuple((start, table(start + 1)) for start in sorted(starts, reverse=True))
    return Price(table(0), tiers)


# https://aws.amazon.com/bedrock/pricing: Anthropic's older models, which the catalogue lacks there, cost the same
_MAKERS = {"aws": "anthropic"}
"""Sellers at a maker's own prices, for models that the catalogue lists at the maker's only."""


class Catalogue:
    """genai-prices, loaded when first asked, each model's prices converted once.

    A provider of the catalogue is found by URL, else by the id that the backend's type implies, else by
    the model's name alone, which is how gateways are priced.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str | None, str], Sequence[tuple[Any, Price]]] = {}

    def warm(self) -> None:
        """Load the catalogue now (about 0.3 s), away from any call."""
        self._snapshot().find_provider_model("gpt-4o-mini", None, "openai", None)

    @staticmethod
    def _snapshot() -> Any:
        from genai_prices.data_snapshot import get_snapshot

        return get_snapshot()

    def price(self, model: str, url: str, provider: str | None, now: Callable[[], datetime]) -> Price | None:
        """The price of this model at that moment, or None when nobody knows it."""
        key = (url, provider, model)
        rows = self._known.get(key)
        if rows is None:
            if len(self._known) > 4096:
                self._known.clear()
            rows = self._known[key] = self._find(model, url, provider)
        if len(rows) < 2:
            return rows[0][1] if rows else None
        moment = now()
        # the last row whose condition holds; the first one where none does
        return next((price for when, price in reversed(rows) if when is None or when.active(moment)), rows[0][1])

    def first(
        self, models: Iterable[str | None], url: str, provider: str | None, now: Callable[[], datetime]
    ) -> Price | None:
        """The price of the first of these models that has one."""
        found = (self.price(model, url, provider, now) for model in models if model)
        return next(filter(None, found), None)

    def seller(self, url: str) -> str | None:
        """The catalogue's id of whoever sells at this URL, or None for what it does not know."""
        try:
            found: str = self._snapshot().find_provider(None, None, url).id
        except LookupError:
            return None
        return found

    def window(self, model: str, url: str, provider: str | None) -> int | None:
        """How many tokens this model's context holds, or None when nobody knows it."""
        found = self._model(model, url, provider)
        return None if found is None else found.context_window

    def _find(self, model: str, url: str, provider: str | None) -> Sequence[tuple[Any, Price]]:
        found = self._model(model, url, provider)
        if found is None:
            return ()
        if not isinstance(found.prices, list):
            return ((None, from_catalogue(found.prices)),)
        return tuple((row.constraint, from_catalogue(row.prices)) for row in found.prices)

    def _model(self, model: str, url: str, provider: str | None) -> Any:
        snapshot = self._snapshot()
        for where in ((None, url), (provider, None), (None, None)):
            try:
                seller = snapshot.find_provider(model.lower(), *where)
            except LookupError:
                continue
            found = seller.find_model(model, all_providers=snapshot.providers)
            if found is None and seller.id in _MAKERS:
                found = snapshot.find_provider(None, _MAKERS[seller.id], None).find_model(model)
            return found
        return None


def cost_of(charges: Iterable[Charge], price: Callable[[str | None], Price | None]) -> int | None:
    """What these parts of a call cost together; None when one of them has no price."""
    total = 0
    for charge in charges:
        found = price(charge.model)
        part = found.of(charge.usage) if found else None
        if part is None:
            return None
        total += part
    return total
