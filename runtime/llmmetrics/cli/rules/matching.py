"""Matches the series of an operator's two sides: https://prometheus.io/docs/prometheus/latest/querying/operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from promql_parser import BinModifier, LabelModifierType, VectorMatchCardinality

from llmmetrics.cli.rules.shape import labels_of, without
from llmmetrics.cli.rules.simulated import OURS, Labels

Series = frozenset[Labels]


class Matched(NamedTuple):
    """The result's series; or none, and the side that has too many matches."""

    series: Series
    several: str = ""
    """The side on which more than one series matches, although only one may."""


def key(each: Labels, modifier: BinModifier | None) -> Labels:
    """Return the labels that must be equal on both sides."""
    if modifier is None or modifier.matching is None:
        return each
    names = frozenset(modifier.matching.labels)
    if modifier.matching.type == LabelModifierType.Include:
        return frozenset(pair for pair in each if pair[0] in names)
    return without(each, names)


def keys(series: Series, modifier: BinModifier | None) -> Series:
    """Return the match keys of a side."""
    return frozenset(key(each, modifier) for each in series)


def matched(left: Series, right: Series, modifier: BinModifier | None) -> Matched:
    """Match the series of an arithmetic or comparison operator."""
    both = keys(left, modifier) & keys(right, modifier)
    sides: Mapping[str, Series] = {"left": left, "right": right}
    many = _many(modifier)
    for side, series in sides.items():
        count = Counter(key(each, modifier) for each in series)
        if side != many and any(count[each] > 1 for each in both):
            return Matched(frozenset(), side)
    if many is None or modifier is None:
        return Matched(both)
    # the many side keeps its labels, and takes the labels of group_left or group_right from the one side
    one = {key(each, modifier): each for each in sides["right" if many == "left" else "left"]}
    taken = frozenset(modifier.group_labels or ())
    rows = [(each, key(each, modifier)) for each in sides[many] if key(each, modifier) in both]
    result = frozenset(
        without(each, taken) | frozenset(pair for pair in one[same] if pair[0] in taken) for each, same in rows
    )
    return Matched(result) if len(result) == len(rows) else Matched(frozenset(), many)


def _many(modifier: BinModifier | None) -> str | None:
    """Return the side on which several series may match one of the other."""
    if modifier is not None and modifier.card == VectorMatchCardinality.ManyToOne:
        return "left"
    return "right" if modifier is not None and modifier.card == VectorMatchCardinality.OneToMany else None


def difference(left: Series, right: Series, modifier: BinModifier | None) -> str:
    """Describe why no series of one side matches one of the other."""
    ours, theirs = (keys(each, modifier) for each in (left, right))
    known = OURS | {"job", "instance"}
    mine, other = labels_of(ours) & known, labels_of(theirs) & known
    parts = [f"only the left has {name}" for name in sorted(mine - other)]
    parts += [f"only the right has {name}" for name in sorted(other - mine)]
    for name in sorted(mine & other):
        one, two = (sorted({value for row in side for key, value in row if key == name}) for side in (ours, theirs))
        if not set(one) & set(two):
            parts.append(f"{name} is {' or '.join(one)} on the left, {' or '.join(two)} on the right")
    return "; ".join(parts) or "they have no series in common"
