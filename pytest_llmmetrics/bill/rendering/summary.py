"""The terminal's summary at a session's end: lines with a markup (`title`, a colour, or empty)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from pytest_llmmetrics.bill.baseline import Changes, by_test
from pytest_llmmetrics.bill.figures import MINUS, Cost, Figures, billed_units, figures, money, number, ranges, usd
from pytest_llmmetrics.bill.judging.split import Split
from pytest_llmmetrics.bill.judging.verdict import NEW, Change, Verdict, listed
from pytest_llmmetrics.bill.rendering import tags
from pytest_llmmetrics.bill.rendering.markdown import uncertain
from pytest_llmmetrics.bill.report import Report

Line = tuple[str, str]

_HEADS = ("calls", "attempts", "prompt", "completion", "cached", "errors", "cost")


def of_report(report: Report, top: int) -> Iterable[Line]:
    """Yield the tests with the highest cost, and the sum of all tests."""
    yield "LLM calls", "title"
    tests = {test: figures(rows, report.price_of) for test, rows in by_test(report.rows).items()}
    dearest = sorted(tests.items(), key=lambda each: (-each[1].cost.total, -each[1].tokens, each[0]))
    shown = [(test, _cells(sums)) for test, sums in dearest[:top]]
    total = figures(report.rows, report.price_of)
    shown.append((number(len(tests), "test"), _cells(total)))
    if report.outside:
        shown.append(("fixtures and session, outside the tests", _cells(figures(report.outside, report.price_of))))
    if report.reruns:
        shown.append(
            ("earlier runs of tests that were run again, not counted", _cells(figures(report.reruns, report.price_of)))
        )
    yield from _table(shown)
    if len(dearest) > top:
        yield f"{len(dearest) - top} more tests are not listed (--llm-top=N lists more)", ""
    if tagged := tags.by_tag(report):
        yield "", ""
        yield from _table([(tag, _cells(sums)) for tag, sums in tagged[: tags.MOST]], "tag")
        if left := tags.more(tagged):
            yield left, ""
    yield from _states(report, total)


def _cells(sums: Figures) -> Sequence[str]:
    cells = (f"{sums.calls:,}", f"{sums.attempts:,}", *sums.counts, f"{sums.cached:,}", f"{sums.errors:,}")
    return (*cells, money(sums.cost))


def _table(rows: Sequence[tuple[str, Sequence[str]]], what: str = "test") -> Iterable[Line]:
    widths = [max(len(head), *(len(cells[n]) for _, cells in rows)) for n, head in enumerate(_HEADS)]

    def line(cells: Sequence[str], name: str) -> str:
        numbers = "  ".join(cell.rjust(size) for cell, size in zip(cells, widths, strict=True))
        return f"{numbers}  {name}"

    yield line(_HEADS, what), "bold"
    for name, cells in rows:
        yield line(cells, name), ""


def _states(report: Report, total: Figures) -> Iterable[Line]:
    if total.asked and total.asked.prompt:
        segments = sorted(total.asked.segments.items(), key=lambda each: (-each[1], each[0]))
        parts = ", ".join(f"{name} ~{n:,}" for name, n in segments[:4])
        yield f"the requests ask for {total.asked_prompt} prompt tokens: {parts}", ""
    yield from ((line, "") for line in ranges(report.repeats))
    yield from ((line, "") for line in billed_units((*report.rows, *report.outside)))
    if total.estimated_tokens:
        yield (
            f"~ is an estimate: {total.estimated_tokens:,} of the tokens are estimated, because no usage was received",
            "yellow",
        )
    if total.unread:
        yield f"{total.unread} successful calls have an answer without usage", "yellow"
    for words, tests in uncertain(report.rows):
        yield f"{number(len(tests), 'test')} {words}: {listed(tests)}", "yellow"
    rows = (*report.rows, *report.outside)
    models = sorted({f"{row.model} at {row.backend}" for row in rows if figures([row], report.price_of).cost.unknown})
    if models:
        yield f"unknown: no price is known for {', '.join(models)} (--llm-prices FILE sets it)", "yellow"


def of_baseline(changes: Changes, name: str, unchanged: str) -> Iterable[Line]:
    """Yield the changes of the baseline, in one line for each act."""
    yield "LLM baseline", "title"
    for what, tests in zip(Changes._fields, changes, strict=True):
        if tests:
            yield f"{what} {number(len(tests), 'test')}: {listed(tests)}", ""
    if any(changes):
        yield f"{sum(map(len, changes))} tests changed in {name}: commit it", "green"
    elif unchanged:
        yield f"no test was written to {name}: {unchanged}", "yellow"
    else:
        yield f"no test was written to {name}: it is up to date", ""


def of_changing(parts: Iterable[Mapping[str, Sequence[str]]]) -> Iterable[Line]:
    """Yield the values of requests that have changed from run to run, and the option that leaves them out."""
    tests: dict[str, set[str]] = {}
    for part in parts:
        for path, names in part.items():
            tests.setdefault(path, set()).update(names)
    if not tests:
        yield "the requests of both runs are the same: there is nothing to ignore", ""
        return
    for path in sorted(tests):
        those = sorted(tests[path])
        yield f"changes from run to run: {path}, in {number(len(those), 'test')}: {listed(those)}", "yellow"
    yield f"if these may change, add to pytest's configuration: llm_ignore = {json.dumps(sorted(tests))}", "yellow"


_COLOURS = {
    "regression": "red",
    "warning": "yellow",
    "unmeasured": "yellow",
    "accepted": "cyan",
    "improved": "green",
}
_QUIET = {"new", "renamed", "moved", "parametrised", "changed"}
"""States that are no finding: a line for all of them, if nothing has changed besides."""


def of_verdict(verdict: Verdict, name: str) -> Iterable[Line]:
    """Yield the verdict of the gate."""
    yield "LLM gate", "title"
    for group in grouped(verdict.changes):
        # two are as short apart
        for some in [group] if len(group) > 2 else [[each] for each in group]:
            yield from _finding(some)
    if verdict.total.reached:
        measures = ", ".join(verdict.total.reached)
        yield (
            f"{verdict.total.state}: all tests together exceed the limit of {measures}",
            _COLOURS.get(verdict.total.state, ""),
        )
    if moved := cost_line(verdict.total):
        yield f"all {verdict.judged} judged tests, without accepted changes: {moved}", ""
    for text in verdict.drift:
        yield f"not judged: {text}", "yellow"
    for text in verdict.notices:
        yield f"note: {text}", ""
    for outcome, tests in sorted(verdict.unjudged.items()):
        yield f"not judged: {number(len(tests), f'{outcome} test')}: {listed(tests)}", "yellow"
    for reason in verdict.inconclusive:
        yield f"inconclusive: {reason.test + ': ' if reason.test else ''}{reason.what}", "yellow"
    yield conclusion(verdict, name), {0: "green", 10: "red"}.get(verdict.code, "yellow")


MANY = 10
"""So many changes are listed with all their causes; more are grouped by the first one."""


def grouped(changes: Sequence[Change]) -> list[list[Change]]:
    """Group the changes that have the same state and cause; the order stays."""
    groups: dict[tuple[str, ...], list[Change]] = {}
    for change in changes:
        # the shares of the prompt differ from test to test
        words = [re.sub(r" \([^)]*of the prompt\)", "", each) for each in change.causes[change.old is not None :]]
        few = len(changes) <= MANY and change.state not in _QUIET
        groups.setdefault((change.state, *(words if few else words[:1])), []).append(change)
    return list(groups.values())


def _finding(group: Sequence[Change]) -> Iterable[Line]:
    """Yield the lines of tests that have changed in the same way."""
    first, colour = group[0], _COLOURS.get(group[0].state, "")
    if len(group) == 1:
        yield f"{first.state}: {first.test}: {'; '.join(first.causes)}", colour
    else:
        words = "; ".join(first.causes[first.old is not None :]) or first.state
        tests = listed([each.test for each in group])
        yield f"{first.state}: {words}, in {len(group)} tests: {tests}", colour
    before, after = (sum((getattr(each, side).cost for each in group), Cost()) for side in ("before", "after"))
    if first.state not in {"new", "unmeasured"} and before != after:
        yield f"    cost {money(before)} → {money(after)}{parts(first.parts) if len(group) == 1 else ''}", ""


def conclusion(verdict: Verdict, name: str) -> str:
    """Return the verdict in one sentence. An empty name: there is no baseline to write."""
    if verdict.code == 10 and not name:
        return "blocked"
    if verdict.code == 10:
        return f"blocked: if the change is intended, run with --llm-baseline=create,fix and commit {name}"
    if verdict.code == 11:
        hint = " (--llm-gate-inconclusive=report lets it pass)" if name else ""
        return f"inconclusive: the calls cannot be compared{hint}"
    if verdict.inconclusive:
        return f"passed, although inconclusive: {number(verdict.judged, 'test')} judged"
    accepted = len(verdict.of("accepted"))
    more = f"; {accepted} accepted, because this branch changes {name} too" if accepted else ""
    new = sum(NEW in each.causes for each in verdict.of("new"))
    hint = f": --llm-baseline=create adds {'it' if new == 1 else 'them'}" if name else ""
    more += f"; {new} new{hint}" if new else ""
    left = {outcome: len(tests) for outcome, tests in sorted(verdict.unjudged.items())}
    more += f"; not judged: {', '.join(f'{n} {outcome}' for outcome, n in left.items())}" if left else ""
    return f"passed: {number(verdict.judged, 'test')} judged{more}"


def cost_line(change: Change) -> str:
    """Return the change in cost and its parts; empty: no change."""
    before, after = change.before.cost, change.after.cost
    if before == after and not (change.parts and any(change.parts)):
        return ""
    return f"cost {money(before)} → {money(after)}{parts(change.parts)}"


def parts(split: Split | None) -> str:
    """Return the parts of a cost change that are not 0."""
    if split is None or not any(split):
        return ""
    return " = " + " ".join(
        f"{MINUS if n < 0 else '+'}{usd(abs(n))} {name}" for name, n in split._asdict().items() if n
    )
