"""What has changed in what calls ask for: segments, cache marks, cacheable prefixes, output limits. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

from pytest_llmmetrics.bill.asking.reading import NO_LIMIT
from pytest_llmmetrics.bill.asking.side import AskedSide
from pytest_llmmetrics.bill.figures import MINUS, Figures, PriceOf, asked_price, usd
from pytest_llmmetrics.bill.rows import Remarks, Row


class Facts(NamedTuple):
    """What the words need besides the rows."""

    price_of: PriceOf
    window: Callable[[Row], int | None] = lambda _: None
    """The most tokens that a model writes where a request sets no limit."""
    remarks: Remarks = Remarks()


Cause = tuple[str, float, str]
"""The measure, how much of the change it is, and the words."""


def asked_causes(before: Sequence[Row], after: Sequence[Row], was: Figures, now: Figures, facts: Facts) -> list[Cause]:
    """Return the changes in what one call asks for: measure, size, words."""
    old, new = was.asked, now.asked
    if old is None or new is None:
        return []
    changes: list[Cause] = [*_segments(was, now, old, new)]
    if old.marks * now.calls != new.marks * was.calls:
        changes.append(("cache_marks", 0, f"cache marks {old.marks} → {new.marks}"))
    changes += _cacheable(after, old, new, facts)
    if new.clocks * was.calls > old.clocks * now.calls:
        where = facts.remarks.clock or "the prompt"
        changes.append(("clock", 0.5, f"{where} is the present time: nothing after it can be cached"))
    changes += _output_limit(before, after, old, new, facts)
    return changes


def _segments(was: Figures, now: Figures, old: AskedSide, new: AskedSide) -> Iterable[Cause]:
    """Yield the segments of the prompt that have changed, for one call."""
    for name in sorted({*old.segments, *new.segments}):
        one = Fraction(old.segments.get(name, 0), was.calls)
        other = Fraction(new.segments.get(name, 0), now.calls)
        if one == other:
            continue
        change = f"{MINUS if other < one else '+'}{number_of(float(abs(other - one)))}"
        shares = [_share(side.segments.get(name, 0), side) for side in (old, new)]
        share = f" ({shares[0]} → {shares[1]} of the prompt)" if shares[0] != shares[1] else ""
        if name.startswith("tool "):
            what = ": schema" if one and other else " is new:" if other else " is gone:"
            text = f"{name}{what} {change} tokens"
        else:
            text = f"{name} {change} tokens{share}"
        if name == "tool results" and new.carried > max(old.carried, 1):
            text += f": a tool result is carried through {new.carried} calls"
        yield "prompt", float(abs(other - one)), text


def _cacheable(after: Sequence[Row], old: AskedSide, new: AskedSide, facts: Facts) -> Iterable[Cause]:
    """Yield the change in how much of the later calls a prompt cache could serve, with its place and its cost."""
    if not (old.later and new.later):
        return
    was, now = Fraction(old.cacheable, old.later), Fraction(new.cacheable, new.later)
    shares = [f"{float(each):.0%}" for each in (was, now)]
    if shares[0] == shares[1]:
        return
    # if the prefixes are as they were, a mark or a time has changed
    moved = Fraction(new.shared, new.later) < Fraction(old.shared, old.later)
    why = f": {facts.remarks.difference}" if facts.remarks.difference and moved else ""
    lost = sum((_price_of_loss(row, was, facts) for row in after), 0) if now < was else 0
    amount = f" (up to +~{usd(lost, 2)})" if lost else ""
    yield "cacheable", 1, f"cacheable prefix {' → '.join(shares)} from the 2nd call on{amount}{why}"


def _price_of_loss(row: Row, was: Fraction, facts: Facts) -> int:
    """Return what a row's calls cost more, in attodollars, if a cache no longer serves the share that it served."""
    price = facts.price_of(asked_price(row))
    if price is None or row.asked is None or not {"input", "cache_read"} <= price.units.keys():
        return 0
    tokens = max(0, int(was * row.asked.later) - row.asked.cacheable)
    return tokens * max(0, price.units["input"] - price.units["cache_read"])


def _share(part: int, side: AskedSide) -> str:
    whole = sum(side.segments.values())
    return f"{part / whole:.0%}" if whole else "0%"


def _output_limit(
    before: Sequence[Row], after: Sequence[Row], old: AskedSide, new: AskedSide, facts: Facts
) -> Iterable[Cause]:
    if set(old.limits) == set(new.limits) or not old.limits or not new.limits:
        return
    names = [", ".join(sorted(side.limits, key=lambda name: (name == NO_LIMIT, name.zfill(9)))) for side in (old, new)]
    worst = [_worst(rows, facts) for rows in (before, after)]
    amounts = f": worst case {worst[0]} → {worst[1]} a call" if all(worst) else ""
    yield "output_limit", 1, f"max_tokens {names[0]} → {names[1]}{amounts}"


def _worst(rows: Sequence[Row], facts: Facts) -> str:
    """Return the cost of the longest answer that a call may get, by its output limit; empty: not known."""
    most = 0
    for row in rows:
        price = facts.price_of(asked_price(row))
        if price is None or row.asked is None:
            continue
        window = facts.window(row)
        limits = [window if name == NO_LIMIT else int(name) for name in row.asked.limits]
        if any(each is None for each in limits):
            return ""
        tokens = max((each for each in limits if each is not None), default=0)
        most = max(most, price.units.get("output", 0) * tokens)
    return f"~{usd(most, 2)}" if most else ""


def number_of(value: float) -> str:
    """Format a number: without a fraction, or with one digit of it."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
