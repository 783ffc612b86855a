"""Every query of the files together: each read on the simulated traffic, recording rules by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import promql_parser

from llmmetrics.cli.output.findings import Finding, error
from llmmetrics.cli.rules.judging import judged
from llmmetrics.cli.rules.queries import Placed, Query
from llmmetrics.cli.rules.reader import read
from llmmetrics.cli.rules.reading import ExpressionReading
from llmmetrics.cli.rules.selectors import TARGETS
from llmmetrics.cli.rules.shape import OTHER, VectorShape

_WORD = re.compile(r"\w+")


class Checked(NamedTuple):
    """A query, what it gives, and what is wrong with it."""

    query: Query
    shape: VectorShape
    found: tuple[Placed, ...]


class Checker:
    """Queries that may ask for each other's results."""

    def __init__(self, queries: Sequence[Query], targets: frozenset[str]) -> None:
        texts = (text for each in queries for text in (each.expression, each.label, *each.texts.values()))
        words = frozenset(word for text in texts for word in _WORD.findall(text))
        self._targets = words & (targets | TARGETS) - {"job", "instance"}
        """Labels that nobody asks for need not be there."""
        self._records: dict[str, list[Query]] = {}
        self._known: dict[str, VectorShape] = {}
        for each in queries:
            if each.kind == "record":
                self._records.setdefault(each.name, []).append(each)

    def check(self, query: Query) -> Checked:
        """What is wrong with a query."""
        shape, found = self._read(query)
        if shape is not None:
            found += judged(query, shape)
        # one mistake may be met twice on the way
        return Checked(query, shape or OTHER, tuple(placed(query, each) for each in dict.fromkeys(found)))

    def _read(self, query: Query) -> tuple[VectorShape | None, list[Finding]]:
        reading = ExpressionReading(query.kind, self._targets, self._recorded, read)
        try:
            shape = reading.of(parsed(query.expression))
        except ValueError as exc:
            return None, [_unparsed(str(exc))]
        except RecursionError:
            return None, [error("the expression is nested too deeply to be read", "record parts of it by rules")]
        return reading.rated(shape), reading.found

    def _recorded(self, name: str) -> VectorShape | None:
        """What rules of this name record, all together."""
        if name not in self._records:
            return None
        if name not in self._known:
            # a rule that asks for itself gets what nobody knows
            self._known[name] = OTHER
            self._known[name] = self._together(name)
        return self._known[name]

    def _together(self, name: str) -> VectorShape:
        shapes = [(self._read(each)[0] or OTHER, each.labels) for each in self._records[name]]
        first = shapes[0][0]
        if any(shape.series is None for shape, _ in shapes):
            return OTHER
        series = frozenset(_labelled(row, labels) for shape, labels in shapes for row in shape.series or ())
        return first._replace(series=series, scalar=False, number=None, type="")


def _labelled(row: frozenset[tuple[str, str]], labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset((dict(row) | dict(labels)).items())


def parsed(expression: str) -> promql_parser.Expr:
    """The expression's tree. Raises `ValueError` where it is none."""
    try:
        return promql_parser.parse(expression)
    except BaseException as exc:
        # a panic of the parser's, as at `offset NaN`, is no Exception
        if type(exc).__name__ == "PanicException":
            raise ValueError(str(exc)) from None
        raise


def placed(query: Query, finding: Finding) -> Placed:
    """A finding of this query."""
    return Placed(query.where, finding, query.written or query.expression)


def _unparsed(said: str) -> Finding:
    if "ranges only allowed" in said:
        return error("a parse error: only a metric itself has a range", "write a subquery, as in (…)[1h:15s]")
    if "expected type matrix" in said or "got vector" in said:
        return error(f"a parse error: {said}", "give the metric a range, as in [5m]")
    return error(
        f"a parse error: {said}", "repair the expression; https://prometheus.io/docs/prometheus/latest/querying"
    )
