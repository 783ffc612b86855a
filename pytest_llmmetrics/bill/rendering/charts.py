"""The report's charts, as HTML without scripts and images. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from pytest_llmmetrics.bill import baseline
from pytest_llmmetrics.bill.figures import Cost, figures, money
from pytest_llmmetrics.bill.rendering.texts import visible
from pytest_llmmetrics.bill.report import Report
from pytest_llmmetrics.bill.rows import Row


def safe(text: str) -> str:
    """Escape a text for HTML; control characters are shown."""
    return escape(visible(text))


MOST = 12
"""The number of bars in a chart; the rest is one more bar."""

# start of a bucket's name, and its kind; other buckets are "other"
_KINDS = (
    ("input", "fresh prompt"),
    ("cache_read", "cached prompt"),
    ("cache_write", "prompt to cache"),
    ("output", "completion"),
    ("reasoning", "reasoning"),
)


def by_test(report: Report, before: Sequence[Row], after: Sequence[Row]) -> str:
    """Draw the tests with the highest cost."""
    sides = tuple(_sums(report, baseline.by_test(rows)) for rows in (before, after))
    return _bars("by-test", "Cost by test", *sides, judged=report.gate is not None)


def by_model(report: Report, before: Sequence[Row], after: Sequence[Row]) -> str:
    """Draw the models that answered."""
    sides = tuple(_sums(report, _by_model(rows)) for rows in (before, after))
    return _bars("by-model", "Cost by model", *sides, judged=report.gate is not None)


def _by_model(rows: Iterable[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if any(row.used):
            groups.setdefault(f"{row.answered or row.model} · {row.backend}", []).append(row)
    return groups


def _sums(report: Report, groups: Mapping[str, Iterable[Row]]) -> dict[str, Cost]:
    return {name: figures(rows, report.price_of).cost for name, rows in groups.items()}


def _bars(id: str, title: str, before: Mapping[str, Cost], after: Mapping[str, Cost], *, judged: bool) -> str:
    nothing = Cost()
    names = sorted(
        before.keys() | after.keys(),
        key=lambda name: (-max(after.get(name, nothing).total, before.get(name, nothing).total), name),
    )
    shown = [(name, before.get(name, nothing), after.get(name, nothing)) for name in names[:MOST]]
    if rest := names[MOST:]:
        was, now = (sum((side.get(name, nothing) for name in rest), nothing) for side in (before, after))
        shown.append((f"{len(rest)} more", was, now))
    scale = max((cost.total for _, *sides in shown for cost in sides), default=0) or 1
    bars = "".join(_bar(name, was, now, scale, judged=judged) for name, was, now in shown)
    key = [("var(--was)", "baseline"), ("var(--now)", "now")] if judged else []
    return f'<section id="{id}"><h2>{title}</h2><div class="bars chart" role="list">{bars}</div>{_key(key)}</section>'


def _bar(name: str, was: Cost, now: Cost, scale: int, *, judged: bool) -> str:
    value = money(now) if not judged or was == now else f"{money(was)} → {money(now)}"
    lines = f'<span class="line was">{_part(was.total, scale)}</span>' if judged else ""
    guess = _part(now.estimated, scale, "guess")
    lines += f'<span class="line now">{_part(now.known, scale)}{guess}</span>'
    return (
        f'<div class="bar" role="listitem"><span class="test">{safe(name)}</span>'
        f'<span class="value">{safe(value)}</span><span class="lines" aria-hidden="true">{lines}</span></div>'
    )


def _part(n: int, scale: int, kind: str = "") -> str:
    return f'<i class="{kind}" style="width:{100 * n / scale:.2f}%"></i>' if n else ""


def by_kind(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """Draw the kinds of tokens: a stacked bar per side."""
    sides = [("baseline", _grouped(before))] if before else []
    sides.append(("now", _grouped(after)))
    scale = max(sum(each.values()) for _, each in sides) or 1
    stacks = "".join(_stack(name if before else "", kinds, scale) for name, kinds in sides)
    used = [name for name in _names() if any(each.get(name) for _, each in sides)]
    key = [(f"var(--k{_names().index(name)})", name) for name in used]
    return f'<section id="by-kind"><h2>Tokens by kind</h2><div class="kinds chart">{stacks}</div>{_key(key)}</section>'


def _names() -> list[str]:
    return [*(name for _, name in _KINDS), "other"]


def _grouped(buckets: Mapping[str, int]) -> dict[str, int]:
    total = dict.fromkeys(_names(), 0)
    for bucket, n in buckets.items():
        name = next((name for start, name in _KINDS if bucket.startswith(start)), "other")
        total[name] += n
    return total


def _stack(name: str, kinds: Mapping[str, int], scale: int) -> str:
    parts = "".join(
        f'<i style="width:{100 * n / scale:.2f}%;background:var(--k{index})" title="{safe(kind)}: {n:,}"></i>'
        for index, (kind, n) in enumerate(kinds.items())
        if n
    )
    listed = ", ".join(f"{n:,} {kind}" for kind, n in kinds.items() if n) or "none"
    what = f"{name}: {listed}" if name else listed
    return f'<div><p class="what">{safe(what)}</p><span class="line" aria-hidden="true">{parts}</span></div>'


def _key(entries: Iterable[tuple[str, str]]) -> str:
    spans = "".join(f'<span><i style="background:{colour}"></i>{safe(name)}</span>' for colour, name in entries)
    return f'<p class="key">{spans}</p>' if spans else ""
