"""The terminal's summary at a session's end: lines with a markup (`title`, a colour, or empty)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_llmmetrics.bill.baseline import Changes, by_test
from pytest_llmmetrics.bill.figures import MINUS, Figures, figures, money, number, usd
from pytest_llmmetrics.bill.gate import Change, Verdict
from pytest_llmmetrics.bill.report import Report
from pytest_llmmetrics.bill.split import Split

Line = tuple[str, str]

_HEADS = ("calls", "attempts", "prompt", "completion", "cached", "errors", "cost")


def of_report(report: Report, top: int) -> Iterable[Line]:
    """Yield the tests with the highest cost, and the sum of all tests."""
    yield "LLM calls", "title"
    tests = {test: figures(rows, report.price_of) for test, rows in by_test(report.rows).items()}
    dearest = sorted(tests.items(), key=lambda each: (-each[1].cost.total, -each[1].tokens, each[0]))
    shown = [(test, _cells(sums)) for test, sums in dearest[:top]]
    total = figures(report.rows, report.price_of)
    shown.append((f"{len(tests)} test{'' if len(tests) == 1 else 's'}", _cells(total)))
    if report.outside:
        shown.append(("fixtures and session, outside the tests", _cells(figures(report.outside, report.price_of))))
    if report.reruns:
        shown.append(
            ("earlier runs of tests that were run again, not counted", _cells(figures(report.reruns, report.price_of)))
        )
    yield from _table(shown)
    if len(dearest) > top:
        yield f"{len(dearest) - top} more tests are not listed (--llm-top=N lists more)", ""
    yield from _states(report, total)


def _cells(sums: Figures) -> Sequence[str]:
    counts = (sums.calls, sums.attempts, sums.prompt, sums.completion, sums.cached, sums.errors)
    return (*(f"{n:,}" for n in counts), money(sums.cost))


def _table(rows: Sequence[tuple[str, Sequence[str]]]) -> Iterable[Line]:
    widths = [max(len(head), *(len(cells[n]) for _, cells in rows)) for n, head in enumerate(_HEADS)]

    def line(cells: Sequence[str], name: str) -> str:
        numbers = "  ".join(cell.rjust(size) for cell, size in zip(cells, widths, strict=True))
        return f"{numbers}  {name}"

    yield line(_HEADS, "test"), "bold"
    for name, cells in rows:
        yield line(cells, name), ""


def _states(report: Report, total: Figures) -> Iterable[Line]:
    if total.estimated_tokens:
        yield (
            f"~ is an estimate: {total.estimated_tokens:,} of the tokens are estimated, because no usage was received",
            "yellow",
        )
    if total.unread:
        yield f"{total.unread} successful calls have an answer without usage", "yellow"
    rows = (*report.rows, *report.outside)
    models = sorted({f"{row.model} at {row.backend}" for row in rows if figures([row], report.price_of).cost.unknown})
    if models:
        yield f"unknown: no price is known for {', '.join(models)}", "yellow"


def of_baseline(changes: Changes, name: str, unchanged: str) -> Iterable[Line]:
    """Yield the changes of the baseline."""
    yield "LLM baseline", "title"
    for what, tests in zip(("created", "fixed", "trimmed"), changes, strict=True):
        for test in tests:
            yield f"{what} {test}", ""
    if any(changes):
        yield f"{sum(map(len, changes))} tests changed in {name}: commit it", "green"
    elif unchanged:
        yield f"no test was written to {name}: {unchanged}", "yellow"
    else:
        yield f"no test was written to {name}: it is up to date", ""


_COLOURS = {"regression": "red", "warning": "yellow", "accepted": "cyan", "improved": "green"}


def of_verdict(verdict: Verdict, name: str) -> Iterable[Line]:
    """Yield the verdict of the gate."""
    yield "LLM gate", "title"
    for change in verdict.changes:
        yield f"{change.state}: {change.test}: {'; '.join(change.causes)}", _COLOURS.get(change.state, "")
        if moved := cost_line(change):
            yield f"    {moved}", ""
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
    for reason in verdict.inconclusive:
        yield f"inconclusive: {reason.test + ': ' if reason.test else ''}{reason.what}", "yellow"
    yield conclusion(verdict, name), {0: "green", 10: "red"}.get(verdict.code, "yellow")


def conclusion(verdict: Verdict, name: str) -> str:
    """Return the verdict in one sentence."""
    if verdict.code == 10:
        return f"blocked: if the change is intended, run with --llm-baseline=create,fix and commit {name}"
    if verdict.code == 11:
        return (
            "inconclusive: the calls cannot be compared with the baseline (--llm-gate-inconclusive=report lets it pass)"
        )
    if verdict.inconclusive:
        return f"passed, although inconclusive: {number(verdict.judged, 'test')} judged"
    accepted = len(verdict.of("accepted"))
    more = f"; {accepted} accepted, because this branch changes {name} too" if accepted else ""
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
