"""Why a cost has changed: more calls, more use per call, another model, another price. Pure; the parts sum exactly."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from llmmetrics.testing.prices import Price
from pytest_llmmetrics.bill.figures import MINUS, Figures, PriceOf, cost_of, figures
from pytest_llmmetrics.bill.rows import Row


class Split(NamedTuple):
    """The parts of a cost change, in attodollars."""

    calls: int = 0
    usage: int = 0
    model: int = 0
    price: int = 0

    @property
    def total(self) -> int:
        return sum(self)

    def plus(self, other: Split) -> Split:
        """Add two splits, part by part."""
        return Split(*(a + b for a, b in zip(self, other, strict=True)))


def split(before: Iterable[Row], after: Iterable[Row], then: PriceOf, now: PriceOf) -> Split | None:
    """Split the change from `before`, at prices `then`, to `after`, at prices `now`; None: a price is unknown.

    The order is: prices, number of calls, use per call, model.
    """
    old = {row.key: row for row in before}
    new = {row.key: row for row in after}
    if any(cost_of(row, price(row)).unknown for row in old.values() for price in (then, now)) or any(
        cost_of(row, now(row)).unknown for row in new.values()
    ):
        return None
    dearer = sum(_cost(row, now(row)) - _cost(row, then(row)) for row in old.values())
    parts = Split(price=dearer)
    for key in old.keys() & new.keys():
        parts = parts.plus(_same_model([old[key]], [new[key]], now))
    gone = [row for key, row in old.items() if key not in new]
    came = [row for key, row in new.items() if key not in old]
    return parts.plus(_other_model(gone, came, now) if gone and came else _calls_alone(gone, came, now))


def _cost(row: Row, price: Price | None) -> int:
    return cost_of(row, price).total


def _sum(rows: Iterable[Row], now: PriceOf) -> int:
    return sum(_cost(row, now(row)) for row in rows)


def _same_model(old: Sequence[Row], new: Sequence[Row], now: PriceOf) -> Split:
    cost = _sum(old, now)
    calls = _of_calls(cost, old, new)
    return Split(calls=calls, usage=_sum(new, now) - cost - calls)


def _of_calls(cost: int, old: Sequence[Row], new: Sequence[Row]) -> int:
    """Return the cost of the change in the number of calls, at the old cost per call."""
    was = sum(row.calls for row in old)
    return cost * (sum(row.calls for row in new) - was) // was if was else 0


def _calls_alone(gone: Sequence[Row], came: Sequence[Row], now: PriceOf) -> Split:
    return Split(calls=_sum(came, now) - _sum(gone, now))


def _other_model(gone: Sequence[Row], came: Sequence[Row], now: PriceOf) -> Split:
    cost = _sum(gone, now)
    # if several models were replaced, the one with the highest cost represents all
    anchor = now(max(gone, key=lambda row: _cost(row, now(row))))
    paid = _sum(came, now)
    at_old = [cost_of(row, anchor) for row in came]
    would = paid if any(each.unknown for each in at_old) else sum(each.total for each in at_old)
    calls = _of_calls(cost, gone, came)
    return Split(calls=calls, usage=would - cost - calls, model=paid - would)


def causes(
    before: Sequence[Row], after: Sequence[Row], parts: Split | None, price_of: PriceOf, reached: Collection[str] = ()
) -> list[str]:
    """Say what has changed: first the measures that exceed a limit, then the largest changes."""
    if not before:
        return ["new: not in the baseline"]
    was, now = figures(before, price_of), figures(after, price_of)
    parts = parts or Split()
    changes: list[tuple[str, float, str]] = []
    if models := _models(before, after):
        changes.append(("cost", abs(parts.model) or 1, models))
    if was.calls != now.calls:
        changes.append(("calls", abs(parts.calls), f"calls {was.calls} → {now.calls}"))
    if was.calls and now.calls and was.per_call != now.per_call:
        failed = _errors(before, after)
        changes.append(("attempts", 0, f"attempts per call {was.per_call:.2f} → {now.per_call:.2f}{failed}"))
    used = _usage(was, now) if was.calls and now.calls else []
    moved = sum(change for _, change, _ in used) or 1
    changes += [(measure, abs(parts.usage) * change / moved, text) for measure, change, text in used]
    return [text for _, _, text in sorted(changes, key=lambda each: (each[0] not in reached, -each[1]))]


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


def _models(before: Sequence[Row], after: Sequence[Row]) -> str | None:
    asked = [sorted({row.model for row in rows}) for rows in (before, after)]
    if asked[0] != asked[1]:
        return f"model {', '.join(asked[0])} → {', '.join(asked[1]) or 'none'}"
    answered = [sorted({row.answered for row in rows if row.answered}) for rows in (before, after)]
    if answered[0] != answered[1] and all(answered):
        return f"answered by model {', '.join(answered[0])} → {', '.join(answered[1])}"
    return None


def _errors(before: Sequence[Row], after: Sequence[Row]) -> str:
    total: dict[str, int] = {}
    for rows, sign in ((before, -1), (after, 1)):
        for row in rows:
            for name, n in row.errors.items():
                total[name] = total.get(name, 0) + sign * n
    more = [f"{name} +{n}" for name, n in sorted(total.items()) if n > 0]
    return f" ({', '.join(more)})" if more else ""
