"""Finds the old names of tests: renamed, moved to another file, or with other parameters. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from pytest_llmmetrics.bill.rows import Row


class OldName(NamedTuple):
    """The test of a baseline that a test continues."""

    test: str
    how: str
    """`renamed`, `moved` or `parametrised`."""


class _Names(NamedTuple):
    file: str
    function: str
    """With its class."""
    parameters: str


def _names(test: str) -> _Names:
    file, _, rest = test.partition("::")
    function, bracket, parameters = rest.partition("[")
    return _Names(file, function, bracket + parameters)


def old_names(
    measured: Mapping[str, Sequence[Row]], before: Mapping[str, Sequence[Row]], gone: Collection[str]
) -> dict[str, OldName]:
    """Return the old name of each measured test that is not in `before`, if one of `gone` is like it.

    The best pairs come first: the same name elsewhere, other parameters, then the same requests.
    """
    came = sorted(test for test, rows in measured.items() if rows and test not in before)
    left = sorted(test for test in gone if before.get(test))
    if not came or not left:
        return {}
    prints = {test: _prints(rows) for side in (measured, before) for test, rows in side.items()}
    common: dict[str, int] = {}
    for test in before:
        for each in prints[test]:
            common[each] = common.get(each, 0) + 1
    candidates = []
    for new in came:
        for old in left:
            score, how = _likeness(new, old, prints[new], prints[old], common)
            if score:
                candidates.append((-score, new, old, how))
    pairs: dict[str, OldName] = {}
    taken: set[str] = set()
    for _, new, old, how in sorted(candidates):
        if new not in pairs and old not in taken:
            pairs[new] = OldName(old, how)
            taken.add(old)
    return pairs


def _prints(rows: Sequence[Row]) -> frozenset[str]:
    return frozenset(each for row in rows if row.asked for each in row.asked.requests)


def _likeness(
    new: str, old: str, mine: frozenset[str], theirs: frozenset[str], common: Mapping[str, int]
) -> tuple[float, str]:
    """Return how sure it is that a test is the old one, 0 to 4, and what has happened to it."""
    one, other = _names(new), _names(old)
    shared = mine & theirs
    requests = len(shared) / len(mine | theirs) if mine and theirs else 0.0
    if one.function == other.function and one.parameters == other.parameters:
        return 3 + requests, "moved"
    if one.function == other.function:
        how = "parametrised" if one.file == other.file else "moved"
        return (2 + requests, how) if requests >= 0.5 or not (mine and theirs) else (0, "")
    name = SequenceMatcher(None, one.function, other.function).ratio()
    own = any(common[each] == 1 for each in shared if each in common)
    if requests >= 0.5 and (own or name >= 0.5):
        return requests + name / 2, "renamed"
    return 0, ""
