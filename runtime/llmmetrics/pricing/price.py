"""Prices of a call, for each bucket as integers, so that the arithmetic is exact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from llmmetrics.wire.format import Charge
from llmmetrics.wire.usage import CACHED, PIECES, TOOLS, Usage

ATTO = 10**18
"""Attodollars in a dollar: a price for a million tokens may have 12 decimals."""

PER_THOUSAND = ATTO // 10**3


def dollars(atto: int) -> Decimal:
    """Convert attodollars to an exact Decimal in USD."""
    return Decimal(atto).scaleb(-18).normalize()


def attodollars(usd: Decimal) -> int:
    """Convert USD to attodollars; more than 18 decimals are rounded."""
    return int(usd.scaleb(18).to_integral_value())


@dataclass(frozen=True, slots=True)
class Price:
    """Attodollars for one unit of each bucket; a missing bucket has no known price."""

    units: Mapping[str, int]
    tiers: tuple[tuple[int, Mapping[str, int]], ...] = ()
    """Thresholds from the highest down, with the prices of a call with more prompt tokens than that."""
    request_fee: int = 0
    """Highest fee of a request, on top of the tokens. No answer says how much it is: the cost is then unknown."""

    def at(self, prompt: int) -> Mapping[str, int]:
        """Return the prices of a call with this number of prompt tokens."""
        for threshold, dearer in self.tiers:
            if prompt > threshold:
                return dearer
        return self.units

    def of(self, usage: Usage) -> int | None:
        """Compute the cost of a usage, in attodollars; None if a bucket has no price, or each request has a fee."""
        if self.request_fee:
            return None
        units = self.at(usage.prompt) if self.tiers else self.units
        cost = 0
        try:
            # by index: to read a field of a named tuple takes longer
            for name, n in usage[3].items():
                cost += units[name] * n
        except KeyError:
            return None
        return cost

    def times(self, factor: Fraction) -> Price:
        """Return the price with other prices of tokens; what is billed by piece stays as it is."""
        tiers = tuple((threshold, _times(units, factor)) for threshold, units in self.tiers)
        return Price(_times(self.units, factor), tiers, self.request_fee)

    def knows(self, usage: Usage) -> bool:
        """Return whether any bucket of a usage has a price."""
        return not self.at(usage.prompt).keys().isdisjoint(usage.buckets)

    def least(self, usage: Usage) -> int:
        """Compute the cost of the buckets that have a price, in attodollars."""
        units = self.at(usage.prompt)
        return sum(units.get(name, 0) * n for name, n in usage.buckets.items())

    def halved(self) -> Price:
        """Return half the price of fresh and written tokens and of pieces. Reads from a cache and tools keep theirs."""
        return Price(_half(self.units), tuple((start, _half(units)) for start, units in self.tiers), self.request_fee)


def _half(units: Mapping[str, int]) -> Mapping[str, int]:
    return {name: n if name in TOOLS or name in CACHED else -(-n // 2) for name, n in units.items()}


def _times(units: Mapping[str, int], factor: Fraction) -> Mapping[str, int]:
    return {name: unit if name in PIECES else round(unit * factor) for name, unit in units.items()}


_KINDS = ("audio", "image", "video")

ELSE: dict[str, tuple[str, ...]] = {
    **{f"input_{kind}": ("input",) for kind in _KINDS},
    "cache_read": ("input",),
    **{f"cache_read_{kind}": ("cache_read", f"input_{kind}", "input") for kind in _KINDS},
    "cache_write": ("input",),
    "cache_write_1h": ("cache_write", "input"),
    **dict.fromkeys(("reasoning", "output_audio", "output_image", "output_video"), ("output",)),
}
"""Buckets whose price a bucket without its own price takes; the first existing one applies. Fees take none."""


def filled(own: Mapping[str, Decimal]) -> dict[str, int]:
    """Add the prices that buckets take from others; in attodollars for a unit."""
    whose = {bucket: bucket for bucket in own}
    for bucket, others in ELSE.items():
        if bucket not in own and (other := next((each for each in others if each in own), None)):
            whose[bucket] = other
    return {bucket: int(own[name] * ATTO / PIECES.get(bucket, 10**6)) for bucket, name in whose.items()}


def configured(usd: Mapping[str, Decimal]) -> Price:
    """Make a price from the user's prices by bucket: USD for a million tokens, or for a number of `PIECES`."""
    return Price(filled(usd))


def cost_of(charges: Iterable[Charge], price: Callable[[str | None], Price | None]) -> int | None:
    """Add the cost of a call's parts, in attodollars; None if one of them has no price."""
    total = 0
    for charge in charges:
        part_price = price(charge.model)
        part = part_price.of(charge.usage) if part_price else None
        if part is None:
            return None
        total += part
    return total
