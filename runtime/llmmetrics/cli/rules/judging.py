"""What is wrong with a query as a whole: what its alert says of it, what its name promises, what its panel does."""

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
    """What is wrong with what is made of a result that has this shape."""
    for place, text in query.texts.items():
        if query.kind == "alert":
            yield from _printed(place, text, shape.unit)
    if shape.series is None:
        return
    labels = labels_of(shape.series) | (query.labels.keys() if query.kind == "record" else frozenset())
    if shape.raw:
        # and whatever a scrape configuration that nobody has shown us adds
        labels |= TARGETS
    if query.kind == "variable" and query.label not in labels:
        what = f"its series have no label {query.label!r}, so the variable is empty"
        yield error(what, f"they have {listed(labels & OURS)}")
    yield from _named(query, labels)
    if query.kind == "record":
        yield from _level(query, shape, labels)
    if query.kind == "panel":
        yield from _panel(query, shape)


def _named(query: Query, labels: frozenset[str]) -> Iterator[Finding]:
    """The labels that a text names and the result has not."""
    for place, text in query.texts.items():
        for name in (_LABEL if query.kind == "alert" else _LEGEND).findall(text):
            if name not in labels:
                has = listed(labels & (OURS | {"job", "instance"}))
                yield error(f"{place} names the label {name!r}, which the result has not", f"its labels are {has}")


def _printed(place: str, text: str, unit: str) -> Iterator[Finding]:
    """What a template makes of a ratio."""
    for found in _VALUE.finditer(text):
        humanized = "humanizePercentage" in found[0]
        if unit == "ratio" and found[1] and not humanized:
            what = f"{place}: {found[0]!r} of a ratio prints 0.95% where 95% is meant"
            yield error(what, "write {{ $value | humanizePercentage }}")
        elif humanized and (found[1] or unit == "percent"):
            what = f"{place}: humanizePercentage multiplies by 100 and writes the % itself"
            yield error(what, "give it a ratio, and write no % after it")


def _level(query: Query, shape: VectorShape, labels: frozenset[str]) -> Iterator[Finding]:
    """`level:metric:operations`, the level being the labels of the result: https://prometheus.io/docs/practices/rules."""
    level, colon, _ = query.name.partition(":")
    lost = [each for each in level.split("_") if colon and each in _LEVELS and each not in labels]
    if lost or (shape.unit in ("ratio", "percent") and shape.series == NO_LABELS):
        promised = f", although it is named by {listed(lost)}" if lost else ""
        has = f"only {listed(labels)}" if labels else "no labels"
        hides = "what asks for more gets nothing" if labels else "a backend that fails does not show among the others"
        yield warning(f"the recorded series has {has}{promised}: {hides}", "aggregate each side by (job, backend)")


def _panel(query: Query, shape: VectorShape) -> Iterator[Finding]:
    if query.stacked and with_total(list(shape.series or ())):
        yield error(
            "stacks the token_type `total` on `prompt` and `completion`, which it is the sum of: everything is doubled",
            'choose with {token_type!="total"}',
        )
    if query.unit == "percent" and shape.unit == "ratio":
        yield error("the unit `percent` of a ratio shows 0.95% where 95% is meant", 'use the unit "percentunit"')
    if query.unit == "percentunit" and shape.unit == "percent":
        yield error("the unit `percentunit` of a percentage shows 9500% where 95% is meant", 'use the unit "percent"')
