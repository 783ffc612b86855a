"""Checks a query as a whole: its alert's texts, its rule's name, its panel's unit and stacking."""

from __future__ import annotations

import re
from collections.abc import Iterator

from llmmetrics.cli.output.findings import Finding, error, warning
from llmmetrics.cli.rules.aggregations import with_total
from llmmetrics.cli.rules.queries import Query
from llmmetrics.cli.rules.selectors import TARGETS
from llmmetrics.cli.rules.shape import NO_LABELS, VectorShape, labels_of, listed
from llmmetrics.cli.rules.simulated import OURS

_VALUE = re.compile(r"\{\{[^{}]*(?:\$value|\.Value)[^{}]*\}\}(\s*%)?")
_LABEL = re.compile(r"(?:\$labels|\.Labels)\.(\w+)")
_LEGEND = re.compile(r"\{\{\s*(\w+)\s*\}\}")

_LEVELS = ("job", "instance", "backend", "model")


def judged(query: Query, shape: VectorShape) -> Iterator[Finding]:
    """Check how the file uses a result of this shape."""
    for place, text in query.texts.items():
        if query.kind == "alert":
            yield from _printed(place, text, shape.unit)
    if shape.series is None:
        return
    labels = labels_of(shape.series) | (query.labels.keys() if query.kind == "record" else frozenset())
    if shape.raw:
        # the scrape configuration may be unknown: assume that it adds the usual labels
        labels |= TARGETS
    if query.kind == "variable" and query.label not in labels:
        what = f"the series have no label {query.label!r}, so the variable is empty"
        yield error(what, f"they have {listed(labels & OURS)}")
    yield from _named(query, labels)
    if query.kind == "record":
        yield from _level(query, shape, labels)
    if query.kind == "panel":
        yield from _panel(query, shape)


def _named(query: Query, labels: frozenset[str]) -> Iterator[Finding]:
    """Find the labels that a text names and the result does not have."""
    for place, text in query.texts.items():
        for name in (_LABEL if query.kind == "alert" else _LEGEND).findall(text):
            if name not in labels:
                has = listed(labels & (OURS | {"job", "instance"}))
                yield error(
                    f"{place} names the label {name!r}, but the result does not have it", f"its labels are {has}"
                )


def _printed(place: str, text: str, unit: str) -> Iterator[Finding]:
    """Check how a template prints a ratio."""
    for match in _VALUE.finditer(text):
        humanized = "humanizePercentage" in match[0]
        if unit == "ratio" and match[1] and not humanized:
            what = f"{place}: {match[0]!r} of a ratio prints 0.95% instead of 95%"
            yield error(what, "write {{ $value | humanizePercentage }}")
        elif humanized and (match[1] or unit == "percent"):
            what = f"{place}: humanizePercentage already multiplies by 100 and writes the %"
            yield error(what, "pass a ratio, and write no % after it")


def _level(query: Query, shape: VectorShape, labels: frozenset[str]) -> Iterator[Finding]:
    """Check a name `level:metric:operations`: level is the result's labels. https://prometheus.io/docs/practices/rules."""
    level, colon, _ = query.name.partition(":")
    lost = [each for each in level.split("_") if colon and each in _LEVELS and each not in labels]
    if lost or (shape.unit in ("ratio", "percent") and shape.series == NO_LABELS):
        promised = f", but its name promises {listed(lost)}" if lost else ""
        has = f"only {listed(labels)}" if labels else "no labels"
        hides = "queries by other labels get nothing" if labels else "the good backends hide one that fails"
        yield warning(f"the recorded series has {has}{promised}: {hides}", "aggregate each side by (job, backend)")


def _panel(query: Query, shape: VectorShape) -> Iterator[Finding]:
    if query.stacked and with_total(list(shape.series or ())):
        yield error(
            "stacks the token_type `total` on `prompt` and `completion`: `total` is their sum, so all values double",
            'select {token_type!="total"}',
        )
    if query.unit == "percent" and shape.unit == "ratio":
        yield error("the unit `percent` of a ratio shows 0.95% instead of 95%", 'use the unit "percentunit"')
    if query.unit == "percentunit" and shape.unit == "percent":
        yield error("the unit `percentunit` of a percentage shows 9500% instead of 95%", 'use the unit "percent"')
