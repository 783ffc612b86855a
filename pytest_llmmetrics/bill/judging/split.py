"""The parts of a cost change: calls, use per call, model, price. Pure; the parts sum exactly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from llmmetrics.testing.prices import Price
from pytest_llmmetrics.bill.figures import PriceOf, cost_of
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
