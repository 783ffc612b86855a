"""A report as one HTML file: it loads no other file, and only sorting needs JavaScript."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.resources import files

from pytest_llmmetrics.bill.baseline import by_test
from pytest_llmmetrics.bill.figures import Cost, Figures, billed_units, figures, kinds, money, number, ranges, usd
from pytest_llmmetrics.bill.judging.gate import verdict_of
from pytest_llmmetrics.bill.judging.verdict import Change, Verdict
from pytest_llmmetrics.bill.rendering import charts, tags
from pytest_llmmetrics.bill.rendering.markdown import difference, percent, signed, uncertain
from pytest_llmmetrics.bill.report import Report
from pytest_llmmetrics.bill.rows import Row

_BADGES = {0: ("green", "Passed"), 10: ("red", "Blocked"), 11: ("amber", "Inconclusive")}
_CHIPS = {"regression": "red", "warning": "amber", "unmeasured": "amber", "accepted": "blue", "improved": "green"}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def page(report: Report) -> str:
    """Render the page."""
    verdict = verdict_of(report)
    assets = files("pytest_llmmetrics.bill").joinpath("assets")
    # only judged tests have a "before"
    judged = set(report.passed) if verdict else set()
    before = [row for row in report.gate.agreed or () if row.test in judged] if report.gate else []
    after = [row for row in report.rows if not verdict or row.test in judged]
    parts = [
        _head(report, verdict),
        _figures(report, verdict),
        _findings(verdict),
        charts.by_test(report, before, after) if after or before else "",
        f'<div class="pair">{charts.by_model(report, before, after)}{charts.by_kind(kinds(before), kinds(after))}</div>'
        if after or before
        else "",
        _table(report),
        _tags(report),
        _outside(report),
        f"<footer>{_prices(report)}</footer>",
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<title>LLM costs of the tests</title>\n<link rel="icon" href="data:,">\n'
        f"<style>\n{assets.joinpath('report.css').read_text('utf8')}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(filter(None, parts))
        + f"\n</main>\n<script>\n{assets.joinpath('report.js').read_text('utf8')}</script>\n</body>\n</html>\n"
    )


def _head(report: Report, verdict: Verdict | None) -> str:
    badge = ""
    if verdict is not None:
        colour, word = _BADGES[verdict.code]
        badge = f'<p class="badge {colour}">{word}</p>'
    ran = f"{number(len(report.tests), 'test')} ran"
    with_calls = len(by_test(report.rows))
    judged = f", {verdict.judged:,} were judged" if verdict else ""
    return (
        f'<header class="head"><div><h1>What the tests\' LLM calls cost</h1>'
        f'<p class="soft">{ran}, {with_calls:,} made LLM calls{judged}.</p></div>{badge}</header>'
    )


def _figures(report: Report, verdict: Verdict | None) -> str:
    now = figures(report.rows, report.price_of)
    was = verdict.total.before if verdict else None
    change = ""
    if verdict is not None and was is not None and not (was.cost.unknown or verdict.total.after.cost.unknown):
        moved = verdict.total.after.cost.total - was.cost.total
        change = f"{signed(moved)}{percent(was.cost.total, was.cost.total + moved)} against the baseline"
    asked = f"{now.asked_prompt} asked for" if now.asked else ""
    cells = (
        ("Cost", money(Cost(now.cost.known, unknown=min(now.cost.unknown, 1))), [*_states(now), change]),
        ("Calls", f"{now.calls:,}", [f"{now.attempts:,} attempts"]),
        ("Prompt tokens", now.counts[0], [asked, f"{now.cached:,} from cache ({now.cached_ratio:.0%})"]),
        ("Completion tokens", now.counts[1], [_guessed(now)]),
        ("Errors", f"{now.errors:,}", [_unread(now)]),
    )
    return f'<dl class="figures">{"".join(_figure(*cell) for cell in cells)}</dl>'


def _states(now: Figures) -> list[str]:
    """Return the estimated and unknown parts of a cost, in words."""
    parts = [f"and about {usd(now.cost.estimated)} estimated"] if now.cost.estimated else []
    if now.cost.unknown:
        parts.append("and calls without a known price")
    return parts


def _guessed(now: Figures) -> str:
    return f"{now.estimated_tokens:,} of all tokens are estimates" if now.estimated_tokens else ""


def _unread(now: Figures) -> str:
    return f"{now.unread:,} successful calls without usage" if now.unread else ""


def _figure(name: str, value: str, more: Iterable[str]) -> str:
    lines = "".join(f'<p class="more">{charts.safe(each)}</p>' for each in more if each)
    return f"<div><dt>{name}</dt><dd>{charts.safe(value)}{lines}</dd></div>"


def _findings(verdict: Verdict | None) -> str:
    if verdict is None:
        return ""
    items = [_finding(each) for each in verdict.changes]
    if verdict.total.reached:
        total = verdict.total._replace(causes=(f"all tests together: {', '.join(verdict.total.reached)}",))
        items.insert(0, _finding(total))
    items += [_item("amber", "inconclusive", each.test or "the session", each.what) for each in verdict.inconclusive]
    notes = [*(f"{each}; both sides are priced at the new price" for each in verdict.drift), *verdict.notices]
    listed_notes = (
        f'<ul class="notes small soft">{"".join(f"<li>{charts.safe(each)}</li>" for each in notes)}</ul>'
        if notes
        else ""
    )
    nothing = '<p class="soft small">No test changed.</p>' if not items else ""
    listed = f'<ul class="findings">{"".join(items)}</ul>'
    return f'<section id="findings"><h2>What changed</h2>{nothing}{listed}{listed_notes}</section>'


def _finding(change: Change) -> str:
    moved = difference(change)
    colour = _CHIPS.get(change.state, "grey")
    amount = signed(moved) if moved else ""
    return _item(colour, change.state, change.test or "all judged tests", "; ".join(change.causes), amount)


def _item(colour: str, chip: str, test: str, cause: str, amount: str = "") -> str:
    moved = f'<span class="moved">{charts.safe(amount)}</span>' if amount else ""
    return (
        f'<li><span class="chip {colour}">{chip}</span><span class="test">{charts.safe(test)}</span>'
        f'<span class="cause soft small">{charts.safe(cause)}</span>{moved}</li>'
    )


_COLUMNS = ("Test", "Calls", "Attempts", "Asked prompt", "Prompt", "Completion", "Cached", "Errors", "Cost")


def _table(report: Report) -> str:
    tests = by_test(report.rows)
    if not tests:
        return ""
    sums = sorted(
        ((test, figures(rows, report.price_of)) for test, rows in tests.items()),
        key=lambda each: (-each[1].cost.total, each[0]),
    )
    total = _row(number(len(sums), "test"), figures(report.rows, report.price_of))
    return f'<section id="tests"><h2>Every test</h2>{_sorted(sums, "Test", f"<tfoot>{total}</tfoot>")}</section>'


def _sorted(sums: Sequence[tuple[str, Figures]], what: str, foot: str = "") -> str:
    """Render a table that a click sorts."""
    heads = "".join(
        f'<th scope="col" aria-sort="{"descending" if name == "Cost" else "none"}">{name}</th>'
        for name in (what, *_COLUMNS[1:])
    )
    body = "".join(_row(charts.safe(name), each) for name, each in sums)
    return f'<table class="sortable"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody>{foot}</table>'


def _tags(report: Report) -> str:
    tagged = tags.by_tag(report)
    if not tagged:
        return ""
    note = " ".join(filter(None, (tags.NOTE, tags.more(tagged))))
    table = _sorted(tagged[: tags.MOST], "Tag")
    return f'<section id="tags"><h2>{tags.TITLE}</h2>{table}<p class="soft small">{note}</p></section>'


def _row(name: str, sums: Figures) -> str:
    asked = sums.asked.prompt if sums.asked else 0
    prompt, completion = sums.counts
    counts = (
        (sums.calls, f"{sums.calls:,}"),
        (sums.attempts, f"{sums.attempts:,}"),
        (asked, sums.asked_prompt),
        (sums.prompt, prompt),
        (sums.completion, completion),
        (sums.cached, f"{sums.cached:,}"),
        (sums.errors, f"{sums.errors:,}"),
    )
    cells = [_cell(column, n, text) for column, (n, text) in zip(_COLUMNS[1:-1], counts, strict=True)]
    cells.append(_cell(_COLUMNS[-1], sums.cost.total, money(sums.cost)))
    return f'<tr><td class="test">{name}</td>{"".join(cells)}</tr>'


def _cell(column: str, n: int, text: str) -> str:
    # known, estimated and unknown parts may stand on separate lines
    spans = " ".join(f"<span>{part}</span>" for part in text.replace(" + ", "\0+ ").split("\0"))
    return f'<td data-name="{column}" data-value="{n}">{spans}</td>'


def _outside(report: Report) -> str:
    groups: Sequence[tuple[str, Sequence[Row]]] = (
        ("fixtures and session", report.outside),
        ("earlier runs of tests that were run again, not counted", report.reruns),
    )
    items = [
        _item("grey", number(sums.calls, "call"), test, title, money(sums.cost))
        for title, rows in groups
        for test, each in by_test(rows).items()
        for sums in (figures(each, report.price_of),)
    ]
    items += [_item("grey", "repeated", "", line) for line in ranges(report.repeats)]
    items += [_item("amber", "uncertain", test, title) for title, tests in uncertain(report.rows) for test in tests]
    if not items:
        return ""
    title = "Calls outside the tests, and uncertain answers"
    return f'<section><h2>{title}</h2><ul class="findings">{"".join(items)}</ul></section>'


def _prices(report: Report) -> str:
    billed = "".join(f" {charts.safe(line)}." for line in billed_units(report.rows))
    unknown = sorted({row.model for row in report.rows if figures([row], report.price_of).cost.unknown})
    more = f" No price is known for {charts.safe(', '.join(unknown))}." if unknown else ""
    rates = "; ".join(
        charts.safe(f"{name} ${rate.usd.get('input', '?')} in, ${rate.usd.get('output', '?')} out")
        for name, rate in sorted(report.prices.items())[:8]
    )
    listed = f" USD per million tokens: {rates}." if rates else ""
    return f"Priced with {charts.safe(report.book)}, as of {charts.safe(report.priced_at[:10])}.{listed}{more}{billed}"
