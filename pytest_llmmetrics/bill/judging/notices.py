"""What limits a verdict, in a line each: it is said, and judges nothing. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from pytest_llmmetrics.bill.asking.caches import rules_for
from pytest_llmmetrics.bill.asking.side import AskedSide
from pytest_llmmetrics.bill.baseline import is_old
from pytest_llmmetrics.bill.figures import Figures, number
from pytest_llmmetrics.bill.judging.causes import no_price
from pytest_llmmetrics.bill.judging.sides import Sides
from pytest_llmmetrics.bill.judging.verdict import listed
from pytest_llmmetrics.bill.rows import Row

_OLD = (
    "the baseline is of an older version, without the asked side: judged by their answers alone "
    "(--llm-baseline=create adds it)"
)


def states(sides: Sides, tests: Mapping[str, Figures]) -> Iterable[str]:
    """Yield a line for each state that limits what can be judged, with the tests that are in it, of these sums."""
    groups: dict[str, list[str]] = {}
    for test, now in tests.items():
        rows = sides.measured.get(test, ())
        asked = now.asked or AskedSide()
        if now.cost.unknown:
            groups.setdefault(f"{no_price(rows, sides.now)}: judged without their cost", []).append(test)
        for n, words in (
            (now.stale, "replay an answer that was recorded for another request: judged by what they ask for"),
            (now.unread, "get an answer without usage: their tokens are estimates"),
            (now.scripted, "write the usage of their answers themselves: judged by what they ask for"),
            (
                any(row.asked and row.asked.later and rules_for(row.model) is None for row in rows),
                "call a model whose cache rules are not known: judged by the longest common prefix alone",
            ),
            (asked.unread, "send a request that cannot be read: judged by their answers alone"),
            (is_old(sides.agreed.get(test, ())) > is_old(rows), _OLD),
        ):
            if n:
                groups.setdefault(words, []).append(test)
    for words, those in sorted(groups.items()):
        yield f"{number(len(those), 'test')}: {words}: {listed(those)}"


def deleted(sides: Sides, gone: Collection[str]) -> Iterable[str]:
    """Yield a line for the tests of the baseline that do not exist any more, under no name."""
    if tests := sorted(set(gone) & sides.agreed.keys()):
        these = "1 test of the baseline no longer exists" if len(tests) == 1 else ""
        yield f"{these or f'{len(tests)} tests of the baseline no longer exist'}: {listed(tests)}"


def drifted(before: Mapping[str, str], now: Mapping[str, str], books: tuple[str, str]) -> list[str]:
    """Say which prices have changed, of those that both sides know."""
    changed = sorted(key for key, digest in before.items() if now.get(key, digest) != digest)
    if not changed:
        return []
    versions = f" ({books[0]} → {books[1]})" if books[0] != books[1] else ""
    return [f"the price of {key} has changed since the baseline was written{versions}" for key in changed]


def other_estimates(ours: int, *others: tuple[int, Iterable[Row]]) -> str:
    """Say why estimated tokens of these baselines or reports cannot be compared with ours; empty: they can."""
    versions = sorted(
        {version for version, rows in others if version != ours and any(row.estimated or row.asked for row in rows)}
    )
    if not versions:
        return ""
    theirs = " and ".join(f"version {each}" if each else "an unknown version" for each in versions)
    return f"estimated tokens are not compared: theirs are by {theirs} of the estimator, ours by version {ours}"
