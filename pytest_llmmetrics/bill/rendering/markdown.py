"""A report as a Markdown comment. Names may come from an untrusted pull request: they are escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pytest_llmmetrics.bill.baseline import by_test
from pytest_llmmetrics.bill.figures import MINUS, Cost, billed_units, figures, money, number, ranges, usd
from pytest_llmmetrics.bill.judging.gate import verdict_of
from pytest_llmmetrics.bill.judging.split import Split
from pytest_llmmetrics.bill.judging.verdict import Change, Verdict, listed
from pytest_llmmetrics.bill.rendering import tags
from pytest_llmmetrics.bill.rendering.texts import shortened, visible
from pytest_llmmetrics.bill.report import Report
from pytest_llmmetrics.bill.rows import Row

MARKER = "<!-- pytest-llmmetrics -->"
"""A bot finds the comment to update by this line."""

MOST = 40
"""The number of tests in a table: a comment holds 65,536 characters."""

_SIGNS = {
    "regression": "🔴",
    "warning": "🟠",
    "reported": "⚪",
    "accepted": "🔵",
    "unmeasured": "🟠",
    "improved": "🟢",
    "changed": "⚪",
    "renamed": "⚪",
    "moved": "⚪",
    "parametrised": "⚪",
    "new": "⚪",
}


LONGEST = 65_536
"""The most characters of a comment on GitHub."""


def comment(report: Report, link: str = "") -> str:
    """Render the comment on a report: its verdict, or else its calls. `link` leads to the whole report."""
    verdict = verdict_of(report)
    body = _measured(report) if verdict is None else judged(verdict)
    return fitted([MARKER, *body, "", *_tags(report), *_prices(report), ""], link)


def fitted(lines: Sequence[str], link: str = "") -> str:
    """Join lines into a comment that GitHub takes: what is too long ends with a link to the whole report."""
    text = "\n".join(lines)
    # an emoji counts as two
    if len(text.encode("utf-16-le")) // 2 <= LONGEST:
        return text
    kept = text[: LONGEST - 1000].rsplit("\n", 1)[0]
    where = f"[the report of the run]({link})" if link else "the report, an artifact of the run"
    return f"{kept}\n\nThe rest is in {where}.\n"


def code(text: str) -> str:
    """Return a name as a code span for a table cell."""
    flat = re.sub(r"\s+", " ", visible(shortened(text)).replace("`", "'").replace("|", "\\|"))
    return f"`{flat}`"


def words(text: str) -> str:
    """Escape text: no markup, no link, no mention."""
    flat = re.sub(r"([\\`*\[\]<>|~#&]|(?<!\w)_|_(?!\w))", r"\\\1", re.sub(r"\s+", " ", visible(text)))
    return re.sub(r"(@|://|www\.)", lambda match: match[0][0] + "&#8203;" + match[0][1:], flat)


def signed(atto: int) -> str:
    """Format a change in cost."""
    return f"{MINUS if atto < 0 else '+'}{usd(abs(atto))}" if atto else "±$0"


def percent(before: int, after: int) -> str:
    """Format a relative change."""
    return f" ({(after - before) / before:+.0%})".replace("-", MINUS) if before and before != after else ""


def _headline(verdict: Verdict) -> str:
    if verdict.code == 10:
        return "## 🔴 LLM costs: blocked"
    if verdict.code == 11:
        return "## 🟡 LLM costs: inconclusive"
    accepted = verdict.of("accepted")
    return "## 🔵 LLM costs: passed, with an accepted change" if accepted else "## 🟢 LLM costs: passed"


def difference(change: Change) -> int:
    """Return the change in cost; 0 if a side is unknown, or there is nothing to compare with."""
    costs = (change.before.cost, change.after.cost)
    apart = change.state in {"new", "unmeasured"} or any(each.unknown for each in costs)
    return 0 if apart else costs[1].total - costs[0].total


def judged(verdict: Verdict, *, advice: bool = True) -> Iterable[str]:
    """Yield the comment's lines on a verdict. Without `advice`: there is no baseline to write."""
    yield _headline(verdict)
    yield ""
    changes = verdict.changes
    moved = sum(difference(each) for each in changes)
    tests = f"{number(verdict.judged, 'test')} judged"
    yield f"{tests}, {len(changes)} changed: {signed(moved)} for one run of them."
    if changes:
        yield ""
        yield from _changes(changes)
    if verdict.total.reached:
        yield ""
        yield f"**All tests together** exceed the limit of {', '.join(verdict.total.reached)}: {_cost(verdict.total)}."
    if verdict.code == 10 and advice:
        yield ""
        yield "If the change is intended, run `pytest --llm-baseline=create,fix` and commit the baseline with it."
    for title, lines in (
        ("Inconclusive", [f"{code(r.test) + ': ' if r.test else ''}{words(r.what)}" for r in verdict.inconclusive]),
        ("Prices, not judged", [words(each) for each in verdict.drift]),
        ("Notes", [words(each) for each in verdict.notices]),
        (
            "Not judged",
            [f"{len(tests)} {outcome}: {words(listed(tests))}" for outcome, tests in sorted(verdict.unjudged.items())],
        ),
    ):
        if lines:
            yield ""
            yield f"**{title}**"
            yield ""
            yield from (f"- {each}" for each in lines[:MOST])


def _changes(changes: Sequence[Change]) -> Iterable[str]:
    yield "| | test | calls | asked prompt | tokens | cost | cause |"
    yield "|---|---|---|---|---|---|---|"
    for change in changes[:MOST]:
        was, now = change.before, change.after
        cells = (
            f"{_SIGNS[change.state]} {change.state}",
            code(change.test),
            _pair(f"{was.calls:,}", f"{now.calls:,}"),
            _pair(was.asked_prompt, now.asked_prompt),
            _pair(was.all_tokens, now.all_tokens),
            _cost(change),
            "<br>".join(filter(None, (*(words(shortened(each, 400)) for each in change.causes), _parts(change.parts)))),
        )
        yield f"| {' | '.join(cells)} |"
    if len(changes) > MOST:
        yield f"\n{len(changes) - MOST} more tests are in the report."


def _pair(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"


def _cost(change: Change) -> str:
    before, after = change.before.cost, change.after.cost
    known = not (before.unknown or after.unknown)
    return _pair(money(before), money(after)) + (percent(before.total, after.total) if known else "")


def _parts(parts: Split | None) -> str:
    if parts is None or not any(parts):
        return ""
    return f"cost: {', '.join(f'{signed(n)} by {name}' for name, n in parts._asdict().items() if n)}"


def _measured(report: Report) -> Iterable[str]:
    total = figures(report.rows, report.price_of)
    tests = {test: figures(rows, report.price_of) for test, rows in by_test(report.rows).items()}
    yield "## LLM costs"
    yield ""
    tokens = f"{total.all_tokens} token{'' if total.tokens == 1 else 's'}"
    used = f"{number(total.calls, 'call')}: {tokens}, {money(total.cost)}"
    yield f"{number(len(tests), 'test')} made {used}."
    if not tests:
        return
    yield ""
    yield "| test | calls | attempts | asked prompt | prompt | completion | cached | errors | cost |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    dearest = sorted(tests.items(), key=lambda each: (-each[1].cost.total, -each[1].tokens, each[0]))
    for test, f in dearest[:MOST]:
        counts = (f"{f.calls:,}", f"{f.attempts:,}", f.asked_prompt, *f.counts, f"{f.cached:,}", f"{f.errors:,}")
        yield f"| {code(test)} | {' | '.join(counts)} | {money(f.cost)} |"
    if len(dearest) > MOST:
        yield f"\n{len(dearest) - MOST} more tests are in the report."
    for line in (*ranges(report.repeats), *billed_units(report.rows)):
        yield ""
        yield words(line)
    for title, those in uncertain(report.rows):
        yield ""
        yield f"**{number(len(those), 'test')} {title}**"
        yield ""
        yield from (f"- {code(test)}" for test in those[:MOST])


def _tags(report: Report) -> Iterable[str]:
    tagged = tags.by_tag(report)
    if not tagged:
        return
    yield from (f"**{tags.TITLE}**", "", "| tag | calls | prompt | completion | cost |", "|---|--:|--:|--:|--:|")
    for tag, f in tagged[: tags.MOST]:
        yield f"| {code(tag)} | {f.calls:,} | {' | '.join(f.counts)} | {money(f.cost)} |"
    yield from ("", f"<sub>{' '.join(filter(None, (tags.NOTE, tags.more(tagged))))}</sub>", "")


def uncertain(rows: Sequence[Row]) -> Iterable[tuple[str, list[str]]]:
    """Yield what limits how far answers can be believed, each with all its tests."""
    for title, tests in (
        ("replay an answer that was recorded for another request", {row.test for row in rows if row.stale}),
        ("get an answer without usage", {row.test for row in rows if row.unread}),
    ):
        if tests:
            yield title, sorted(tests)


def _prices(report: Report) -> Iterable[str]:
    total = figures(report.rows, report.price_of)
    cost: Cost = total.cost
    yield f"<sub>All calls cost {money(cost)} at the prices of {words(report.book)}, for both sides.</sub>"
