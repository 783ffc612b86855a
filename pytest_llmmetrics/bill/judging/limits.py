"""The limits of the gate: by how much each measure may get worse. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from llmmetrics.testing import prices
from pytest_llmmetrics.bill.asking.reading import NO_LIMIT
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


UNLIMITED = 10**6
"""The output limit of a request without one, in tokens: more than any model writes."""


def output_limit(f: Figures) -> Fraction:
    """Return the output limit of a call, in tokens, on average."""
    limits = f.asked.limits if f.asked else {}
    most = sum((UNLIMITED if name == NO_LIMIT else int(name)) * n for name, n in limits.items())
    return _ratio(most, sum(limits.values()))


def _asked(f: Figures, name: str) -> int:
    return int(getattr(f.asked, name)) if f.asked else 0


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
        Measure("prompt", lambda f: Fraction(_asked(f, "prompt")), 1, lambda f: _count(_asked(f, "prompt")), "asked"),
        Measure(
            "asked_cost",
            lambda f: Fraction(f.asked_cost.total, prices.ATTO),
            1,
            lambda f: usd(f.asked_cost.total),
            "asked",
        ),
        Measure("output_limit", output_limit, 1, lambda f: _count(int(output_limit(f))), "asked"),
        Measure(
            "cache_marks",
            lambda f: _ratio(_asked(f, "marks"), f.calls),
            -1,
            lambda f: _count(_asked(f, "marks")),
            "asked",
        ),
        Measure(
            "cacheable",
            lambda f: _ratio(_asked(f, "cacheable"), _asked(f, "later")),
            -1,
            lambda f: f"{float(_ratio(_asked(f, 'cacheable'), _asked(f, 'later'))):.0%}",
            "asked",
        ),
        Measure(
            "clock", lambda f: _ratio(_asked(f, "clocks"), f.calls), 1, lambda f: _count(_asked(f, "clocks")), "asked"
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
        if self.measure in _RATIOS and not (before.calls and after.calls):
            # without calls there is no ratio
            return False
        if measure.unit == "asked" and (before.asked is None or after.asked is None):
            return False
        if self.measure == "cacheable" and not all(side.asked and side.asked.later for side in (before, after)):
            return False
        if self.measure in {"cost", "asked_cost"}:
            costs = [getattr(side, self.measure) for side in (before, after)]
            if any(each.unknown for each in costs):
                # an unknown cost is never less than a known one
                return bool(before.calls and costs[1].unknown and not costs[0].unknown)
        was = measure.of(before)
        worse = (measure.of(after) - was) * measure.more
        if self.measure == "prompt" and not self.total and worse > self.floor and self._segment(before, after):
            return True
        return worse > self.floor and worse > was * self.percent / 100

    def _segment(self, before: Figures, after: Figures) -> bool:
        """Tell whether one segment of the prompt has grown too much."""
        was, now = (side.asked.segments if side.asked else {} for side in (before, after))
        grown = ((n - was.get(name, 0), was.get(name, 0)) for name, n in now.items())
        return any(more > self.floor and more > old * self.percent / 100 for more, old in grown)


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


_RATIOS = {"cached", "attempts", "output_limit", "cache_marks", "clock"}

DEFAULTS = (
    "calls 0% 0",
    "attempts 0% 0",
    "tokens 5% 20",
    "cost 5% 0.00001",
    "cached 10% 0.05",
    "prompt 5% 20",
    "asked_cost 5% 0.00001",
    "output_limit 0% 0",
    "cache_marks 0% 0",
    "cacheable 10% 0.05",
    "clock 0% 0",
    "total tokens 5% 20",
    "total cost 5% 0.00001",
    "total prompt 5% 20",
)
"""The default limits: replayed answers have no noise, and a changed prompt may have a few more tokens."""


def limits_of(*layers: Iterable[str]) -> list[Limit]:
    """Merge the limits of several layers over the defaults: of each measure, the last limit wins."""
    chosen: dict[tuple[str, bool], Limit] = {}
    for text in (*DEFAULTS, *(each for layer in layers for each in layer if each.strip())):
        limit = limit_of(text)
        chosen[limit.measure, limit.total] = limit
    return list(chosen.values())


class Ceiling(NamedTuple):
    """An absolute limit of a new test, which has nothing to be compared with."""

    measure: str
    most: Fraction

    def __str__(self) -> str:
        return f"{self.measure} {Decimal(self.most.numerator) / self.most.denominator:f}"

    def reached(self, now: Figures) -> bool:
        unknown = self.measure in {"cost", "asked_cost"} and getattr(now, self.measure).unknown
        return bool(unknown) or MEASURES[self.measure].of(now) > self.most


NEW_EXAMPLE = "write it as 'cost 0.01' or 'calls 10'"


def ceiling_of(text: str) -> Ceiling:
    """Parse a limit of new tests: `MEASURE AMOUNT`. Raises `LimitError`."""
    measure, _, amount = text.strip().partition(" ")
    if measure not in MEASURES or MEASURES[measure].more < 0:
        known = ", ".join(name for name, each in MEASURES.items() if each.more > 0)
        raise LimitError(f"the limit {text!r} has the measure {measure!r}: there are {known}; {NEW_EXAMPLE}")
    amount = amount.strip().removeprefix("$").replace("_", "")
    if not re.fullmatch(r"\d+(\.\d+)?|\.\d+", amount):
        raise LimitError(f"the limit {text!r} has {amount!r} instead of a number: {NEW_EXAMPLE}")
    return Ceiling(measure, Fraction(Decimal(amount)))


class Rules(NamedTuple):
    """The gate's rules."""

    limits: Sequence[Limit]
    mode: Mode = "block"
    """The strongest reaction, above the mode of every limit."""
    accepted: Mode = "report"
    """The strongest reaction to a change that the branch has written into the baseline."""
    inconclusive: Mode = "block"
    new: Sequence[Ceiling] = ()
    """The limits of new tests."""

    def capped(self, mode: str) -> str:
        return min(mode, self.mode, key=MODES.index)
