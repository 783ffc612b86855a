"""What has changed, in words that say what to look at. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from math import inf

from pytest_llmmetrics.bill.figures import MINUS, Figures, PriceOf, asked_price, figures, number
from pytest_llmmetrics.bill.judging.asked_causes import Cause, Facts, asked_causes, number_of
from pytest_llmmetrics.bill.judging.split import Split
from pytest_llmmetrics.bill.rows import Row


def causes(
    before: Sequence[Row], after: Sequence[Row], parts: Split | None, facts: Facts, reached: Collection[str] = ()
) -> list[str]:
    """Say what has changed: first the measures that exceed a limit, then the largest changes."""
    was, now = figures(before, facts.price_of), figures(after, facts.price_of)
    parts = parts or Split()
    changes: list[Cause] = []
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
        changes += asked_causes(before, after, was, now, facts)
        if _did_not_follow(was, now):
            changes.append(("", 0, "stale: the answer's usage did not follow the request"))
    changes += _states(was, now)
    if now.cost.unknown and not was.cost.unknown:
        changes.append(("cost", 1, f"the cost is not known any more: {no_price(after, facts.price_of)}"))
    # the order of the alphabet last: verdicts are equal on every machine
    ordered = sorted(changes, key=lambda each: (each[0] not in reached, -each[1], each[2]))
    return list(dict.fromkeys(text for _, _, text in ordered))


def no_price(rows: Iterable[Row], price_of: PriceOf) -> str:
    """Say which models have no price, and what to do."""
    models = sorted({f"{row.model} at {row.backend}" for row in rows if figures([row], price_of).cost.unknown})
    return f"no price is known for {', '.join(models)} (--llm-prices FILE sets it)"


def _did_not_follow(was: Figures, now: Figures) -> bool:
    """Tell whether the requests have changed and the answers' usage has not: they were made for other requests."""
    if was.asked is None or now.asked is None or was.calls != now.calls or not now.tokens:
        return False
    answers = [(each.prompt, each.completion, each.cached) for each in (was, now)]
    return answers[0] == answers[1] and was.asked.segments != now.asked.segments


def _states(was: Figures, now: Figures) -> Iterable[Cause]:
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
            text = f"{name} tokens per call {number_of(one)} → {number_of(other)}{percent}"
            changes.append(("tokens", abs(other - one) / (one or other), text))
    if was.cached_ratio != now.cached_ratio:
        shift = abs(was.cached_ratio - now.cached_ratio)
        text = f"prompt cache reads {was.cached_ratio:.0%} → {now.cached_ratio:.0%} of the prompt"
        changes.append(("cached", shift, text))
    return changes


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
