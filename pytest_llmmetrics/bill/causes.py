"""What has changed, in words that say what to look at. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from fractions import Fraction
from math import inf
from typing import NamedTuple

from pytest_llmmetrics.bill.asking.reading import NO_LIMIT
from pytest_llmmetrics.bill.asking.side import AskedSide
from pytest_llmmetrics.bill.figures import MINUS, Figures, PriceOf, asked_price, figures, number, usd
from pytest_llmmetrics.bill.rows import Remarks, Row
from pytest_llmmetrics.bill.split import Split


class Facts(NamedTuple):
    """What the words need besides the rows."""

    price_of: PriceOf
    window: Callable[[Row], int | None] = lambda _: None
    """The most tokens that a model writes where a request sets no limit."""
    remarks: Remarks = Remarks()


_Cause = tuple[str, float, str]
"""The measure, how much of the change it is, and the words."""


def causes(
    before: Sequence[Row], after: Sequence[Row], parts: Split | None, facts: Facts, reached: Collection[str] = ()
) -> list[str]:
    """Say what has changed: first the measures that exceed a limit, then the largest changes."""
    was, now = figures(before, facts.price_of), figures(after, facts.price_of)
    parts = parts or Split()
    changes: list[_Cause] = []
    if models := _models(before, after, facts.price_of):
        # it explains the others
        changes.append((next(iter(reached), ""), inf, models))
    if was.calls != now.calls:
        changes.append(("calls", abs(parts.calls), f"calls {was.calls} → {now.calls}"))
    if was.calls and now.calls and was.per_call != now.per_call:
        failed = _errors(before, after)
        changes.append(("attempts", 0, f"attempts per call {was.per_call:.2f} → {now.per_call:.2f}{failed}"))
    used = _usage(was, now) if was.calls and now.calls else []
    moved = sum(change for _, change, _ in used) or 1
    changes += [(measure, abs(parts.usage) * change / moved, text) for measure, change, text in used]
    if was.asked and now.asked and was.calls and now.calls:
        changes += _asked(was, now, was.asked, now.asked, facts)
        changes += _output_limit(before, after, was.asked, now.asked, facts)
        if _did_not_follow(was, now):
            changes.append(("", 0, "stale: the answer's usage did not follow the request"))
    changes += _states(was, now)
    if now.cost.unknown and not was.cost.unknown:
        changes.append(("cost", 1, f"the cost is not known any more: {no_price(after, facts.price_of)}"))
    # the order of the alphabet last: verdicts are equal on every machine
    ordered = sorted(changes, key=lambda each: (each[0] not in reached, -each[1], each[2]))
    return list(dict.fromkeys(text for _, _, text in ordered))


def _asked(was: Figures, now: Figures, old: AskedSide, new: AskedSide, facts: Facts) -> list[_Cause]:
    """Return the changes in what one call asks for."""
    changes: list[_Cause] = [*_segments(was, now, old, new)]
    if old.marks * now.calls != new.marks * was.calls:
        changes.append(("cache_marks", 0, f"cache marks {old.marks} → {new.marks}"))
    if old.later and new.later and old.cacheable * new.later != new.cacheable * old.later:
        why = f": {facts.remarks.difference}" if facts.remarks.difference else ""
        shares = f"{old.cacheable / old.later:.0%} → {new.cacheable / new.later:.0%}"
        changes.append(("cacheable", 1, f"cacheable prefix {shares} from the 2nd call on{why}"))
    if new.clocks * was.calls > old.clocks * now.calls:
        where = facts.remarks.clock or "the prompt"
        changes.append(("clock", 0.5, f"{where} is the present time: nothing after it can be cached"))
    return changes


def _segments(was: Figures, now: Figures, old: AskedSide, new: AskedSide) -> Iterable[_Cause]:
    """Yield the segments of the prompt that have changed, for one call."""
    for name in sorted({*old.segments, *new.segments}):
        one = Fraction(old.segments.get(name, 0), was.calls)
        other = Fraction(new.segments.get(name, 0), now.calls)
        if one == other:
            continue
        change = f"{MINUS if other < one else '+'}{_number(float(abs(other - one)))}"
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


def no_price(rows: Iterable[Row], price_of: PriceOf) -> str:
    """Say which models have no price, and what to do."""
    models = sorted({f"{row.model} at {row.backend}" for row in rows if figures([row], price_of).cost.unknown})
    return f"no price is known for {', '.join(models)} (--llm-prices FILE sets it)"


def _share(part: int, side: AskedSide) -> str:
    whole = sum(side.segments.values())
    return f"{part / whole:.0%}" if whole else "0%"


def _output_limit(
    before: Sequence[Row], after: Sequence[Row], old: AskedSide, new: AskedSide, facts: Facts
) -> Iterable[_Cause]:
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


def _did_not_follow(was: Figures, now: Figures) -> bool:
    """Tell whether the requests have changed and the answers' usage has not: they were made for other requests."""
    if was.asked is None or now.asked is None or was.calls != now.calls or not now.tokens:
        return False
    answers = [(each.prompt, each.completion, each.cached) for each in (was, now)]
    return answers[0] == answers[1] and was.asked.segments != now.asked.segments


def _states(was: Figures, now: Figures) -> Iterable[_Cause]:
    """Yield the states that calls are in now and were not before."""
    for old, new, words in (
        (was.stale, now.stale, "an answer that was recorded for another request: record it again"),
        (was.unread, now.unread, "an answer without usage: its tokens are estimates"),
        (
            was.asked.unread if was.asked else 0,
            now.asked.unread if now.asked and was.asked else 0,
            "a request that cannot be read: only its answer is judged",
        ),
    ):
        if new > old:
            yield "", 0, f"{number(new, 'call')} ({old} before) with {words}"


def _usage(was: Figures, now: Figures) -> list[tuple[str, float, str]]:
    """Return the changes in one call's use: measure, relative change, words."""
    changes = []
    for name, total, later in (("prompt", was.prompt, now.prompt), ("completion", was.completion, now.completion)):
        one, other = total / was.calls, later / now.calls
        if one != other:
            percent = (
                f" ({(other - one) / one:+.0%})".replace("-", MINUS) if one and abs(other / one - 1) >= 0.01 else ""
            )
            text = f"{name} tokens per call {_number(one)} → {_number(other)}{percent}"
            changes.append(("tokens", abs(other - one) / (one or other), text))
    if was.cached_ratio != now.cached_ratio:
        shift = abs(was.cached_ratio - now.cached_ratio)
        text = f"prompt cache reads {was.cached_ratio:.0%} → {now.cached_ratio:.0%} of the prompt"
        changes.append(("cached", shift, text))
    return changes


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def _models(before: Sequence[Row], after: Sequence[Row], price_of: PriceOf) -> str | None:
    asked = [sorted({row.model for row in rows}) for rows in (before, after)]
    answered = [sorted({row.answered for row in rows if row.answered}) for rows in (before, after)]
    if asked[0] != asked[1]:
        if not all(asked):
            return None
        times = _times(before, after, price_of)
        mocked = answered[0] == answered[1] and any(answered)
        still = f" (the mock still answers {', '.join(answered[1])})" if mocked else ""
        return f"model asked {', '.join(asked[0])} → {', '.join(asked[1])}{still}{times}"
    if answered[0] != answered[1] and all(answered):
        return f"answered by model {', '.join(answered[0])} → {', '.join(answered[1])}"
    return None


def _times(before: Sequence[Row], after: Sequence[Row], price_of: PriceOf) -> str:
    """Return how many times as much the same prompt costs, if one model was replaced by one other."""
    prices = [{row.model: price_of(asked_price(row)) for row in rows} for rows in (before, after)]
    if any(len(each) != 1 for each in prices):
        return ""
    one, other = (next(iter(each.values())) for each in prices)
    units = [0 if each is None else each.units.get("input", 0) for each in (one, other)]
    return f": \N{MULTIPLICATION SIGN}{units[1] / units[0]:.3g}" if all(units) else ""


def _errors(before: Sequence[Row], after: Sequence[Row]) -> str:
    total: dict[str, int] = {}
    for rows, sign in ((before, -1), (after, 1)):
        for row in rows:
            for name, n in row.errors.items():
                total[name] = total.get(name, 0) + sign * n
    more = [f"{name} +{n}" for name, n in sorted(total.items()) if n > 0]
    return f" ({', '.join(more)})" if more else ""
