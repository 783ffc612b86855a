"""Settles a baseline that two branches have changed in one place: row by row, from both parents. Pure but for git."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from pytest_llmmetrics.bill.baseline import Baseline
from pytest_llmmetrics.bill.documents import DocumentError, parsed
from pytest_llmmetrics.bill.offline.history import git
from pytest_llmmetrics.bill.rows import Row, added


def parents(path: Path) -> tuple[Baseline, Baseline, Baseline] | None:
    """Return the common ancestor of a conflicted baseline, and both sides; None: no conflict. Raises `DocumentError`.

    git keeps all three during a merge; after that, the sides are in the conflict markers, and the ancestor is empty.
    """
    stages = [git(path.parent, "show", f":{n}:./{path.name}") for n in (1, 2, 3)]
    if stages[1] is not None and stages[2] is not None:
        ancestor, ours, theirs = (text or "" for text in stages)
    else:
        try:
            text = path.read_text("utf8")
        except (OSError, UnicodeDecodeError) as exc:
            raise DocumentError(f"{path} cannot be read: {exc}") from None
        ancestor, (ours, theirs) = "", _sides(text)
        if ours == theirs:
            return None
    sides = (parsed(Baseline, side, f"{path.name} ({name})") for side, name in ((ours, "ours"), (theirs, "theirs")))
    return (parsed(Baseline, ancestor, f"{path.name} (ancestor)") if ancestor else Baseline(), *sides)  # type: ignore[return-value]


def _sides(text: str) -> tuple[str, str]:
    """Return both sides of a text with conflict markers."""
    sides: tuple[list[str], list[str]] = ([], [])
    here: tuple[int, ...] = (0, 1)
    for line in text.splitlines(keepends=True):
        marker = re.match(r"(<{7}|\|{7}|={7}|>{7})( |$)", line)
        if marker is None:
            for side in here:
                sides[side].append(line)
        else:
            here = {"<": (0,), "|": (), "=": (1,), ">": (0, 1)}[line[0]]
    return "".join(sides[0]), "".join(sides[1])


def resolved(ancestor: Baseline, ours: Baseline, theirs: Baseline) -> tuple[Baseline, list[str]]:
    """Merge two baselines test by test; return the tests that both sides have changed as well.

    Of such a test the side with fewer calls and tokens is kept: the gate then finds what is more, and nothing passes
    unseen.
    """
    old, one, other = (each.by_test() for each in (ancestor, ours, theirs))
    rows: list[Row] = []
    both = []
    for test in sorted(one.keys() | other.keys()):
        before, here, there = (added(side.get(test, ())) for side in (old, one, other))
        if there in (here, before):
            rows += here
        elif here == before:
            rows += there
        else:
            both.append(test)
            rows += min(here, there, key=_size)
    made = Baseline(
        book=max(ours.book, theirs.book, key=_version),
        estimator=min(ours.estimator, theirs.estimator),
        prices=_merged(ancestor.prices, ours.prices, theirs.prices),
        sellers=_merged(ancestor.sellers, ours.sellers, theirs.sellers),
        rows=rows,
    )
    return made, both


def _size(side: Iterable[Row]) -> tuple[int, int, int, str]:
    rows = list(side)
    tokens = sum(sum(part.values()) for row in rows for part in row.used)
    asked = sum(row.asked.prompt for row in rows if row.asked)
    return sum(row.attempts for row in rows), tokens, asked, repr(rows)


V = TypeVar("V")


def _merged(ancestor: Mapping[str, V], ours: Mapping[str, V], theirs: Mapping[str, V]) -> dict[str, V]:
    """Merge two tables: a changed value wins over an unchanged one, ours over theirs."""
    mine = {key: value for key, value in ours.items() if key not in ancestor or ancestor[key] != value}
    return {**ours, **theirs, **mine}


def _version(book: str) -> tuple[list[int], str]:
    return [int(each) for each in re.findall(r"\d+", book)], book
