"""The limits of the gate: by how much each measure may get worse. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from llmmetrics.testing import prices
from pytest_llmmetrics.bill.figures import Figures, usd
from pytest_llmmetrics.bill.modes import MODES, Mode


class LimitError(ValueError):
    """An invalid limit; the message says what to write."""


class Measure(NamedTuple):
    """A figure that the gate compares. `more` is +1 if more is worse, -1 if less is worse."""

    name: str
    of: Callable[[Figures], Fraction]
    more: int
    show: Callable[[Figures], str]
    unit: str


def _count(n: int) -> str:
    return f"{n:,}"


MEASURES = {
    each.name: each
    for each in (
        Measure("calls", lambda f: Fraction(f.calls), 1, lambda f: _count(f.calls), "calls"),
        Measure(
            "attempts", lambda f: _ratio(f.attempts, f.calls), 1, lambda f: f"{f.per_call:.2f}", "attempts per call"
        ),
        Measure("tokens", lambda f: Fraction(f.tokens), 1, lambda f: _count(f.tokens), "tokens"),
        Measure("cost", lambda f: Fraction(f.cost.total, prices.ATTO), 1, lambda f: usd(f.cost.total), "cost"),
        Measure(
            "cached",
            lambda f: _ratio(f.cached, f.prompt),
            -1,
            lambda f: f"{f.cached_ratio:.0%}",
            "cached",
        ),
    )
}


def _ratio(part: int, whole: int) -> Fraction:
    return Fraction(part, whole) if whole else Fraction(0)


class Limit(NamedTuple):
    """Exceeded by a change for the worse of more than `percent` of the old value *and* more than `floor`."""

    measure: str
    percent: Fraction
    floor: Fraction
    mode: str = "block"
    total: bool = False
    """Whether it limits all judged tests together."""

    def __str__(self) -> str:
        numbers = (Decimal(each.numerator) / each.denominator for each in (self.percent, self.floor))
        percent, floor = (f"{each:f}" for each in numbers)
        return f"{'total ' if self.total else ''}{self.measure} {percent}% {floor} {self.mode}"

    def reached(self, before: Figures, after: Figures) -> bool:
        measure = MEASURES[self.measure]
        if self.measure in {"cached", "attempts"} and not (before.calls and after.calls):
            # without calls there is no ratio
            return False
        was = measure.of(before)
        worse = (measure.of(after) - was) * measure.more
        return worse > self.floor and worse > was * self.percent / 100


_SYNTAX = re.compile(
    r"(?P<total>total\s+)?(?P<measure>\w+)\s+(?P<percent>\S+)\s*%(\s+\$?(?P<floor>[^\s%]+))?(\s+(?P<mode>[a-z]+))?"
)

EXAMPLE = "write it as 'cost 5% 0.0001' or 'total tokens 10% 500 warn'"


def limit_of(text: str) -> Limit:
    """Parse a limit: `[total] MEASURE PERCENT% [FLOOR] [MODE]`. Raises `LimitError`."""
    parts = _SYNTAX.fullmatch(text.strip())
    if parts is None:
        raise LimitError(f"the limit {text!r} cannot be read: {EXAMPLE}")
    measure, mode = parts["measure"], parts["mode"] or "block"
    floor = parts["floor"]
    if floor in MODES and not parts["mode"]:
        floor, mode = None, floor
    if measure not in MEASURES:
        raise LimitError(f"the limit {text!r} has the measure {measure!r}: there are {', '.join(MEASURES)}; {EXAMPLE}")
    if mode not in MODES:
        raise LimitError(f"the limit {text!r} has the mode {mode!r}: there are {', '.join(MODES)}")
    numbers = []
    for number in (parts["percent"], floor or "0"):
        if not re.fullmatch(r"\d+(\.\d+)?|\.\d+", number):
            raise LimitError(f"the limit {text!r} has {number!r} instead of a number: {EXAMPLE}")
        numbers.append(Fraction(Decimal(number)))
    return Limit(measure, numbers[0], numbers[1], mode, bool(parts["total"]))


DEFAULTS = (
    "calls 0% 0",
    "attempts 0% 0",
    "tokens 5% 20",
    "cost 5% 0.00001",
    "cached 10% 0.05",
    "total tokens 5% 20",
    "total cost 5% 0.00001",
)
"""The default limits: replayed answers have no noise, and a changed prompt may have a few more tokens."""


def limits_of(*layers: Iterable[str]) -> list[Limit]:
    """Merge the limits of several layers over the defaults: of each measure, the last limit wins."""
    chosen: dict[tuple[str, bool], Limit] = {}
    for text in (*DEFAULTS, *(each for layer in layers for each in layer if each.strip())):
        limit = limit_of(text)
        chosen[limit.measure, limit.total] = limit
    return list(chosen.values())


class Rules(NamedTuple):
    """The gate's rules."""

    limits: Sequence[Limit]
    mode: Mode = "block"
    """The strongest reaction, above the mode of every limit."""
    accepted: Mode = "report"
    """The strongest reaction to a change that the branch has written into the baseline."""
    inconclusive: Mode = "block"

    def capped(self, mode: str) -> str:
        return min(mode, self.mode, key=MODES.index)
