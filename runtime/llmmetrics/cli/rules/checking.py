"""Checks all queries of the files together, so that a query may use the recording rules of another file."""

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
    """A query, the shape of its result, and its findings."""

    query: Query
    shape: VectorShape
    found: tuple[Placed, ...]


class Checker:
    """Checks queries that may use each other's results."""

    def __init__(self, queries: Sequence[Query], targets: frozenset[str]) -> None:
        texts = (text for each in queries for text in (each.expression, each.label, *each.texts.values()))
        words = frozenset(word for text in texts for word in _WORD.findall(text))
        self._targets = words & (targets | TARGETS) - {"job", "instance"}
        """Only those target labels that a query names."""
        self._records: dict[str, list[Query]] = {}
        self._known: dict[str, VectorShape] = {}
        for each in queries:
            if each.kind == "record":
                self._records.setdefault(each.name, []).append(each)

    def check(self, query: Query) -> Checked:
        """Check a query; return its findings."""
        shape, findings = self._read(query)
        if shape is not None:
            findings += judged(query, shape)
        # the same mistake may be reported twice during the reading
        return Checked(query, shape or OTHER, tuple(placed(query, each) for each in dict.fromkeys(findings)))

    def _read(self, query: Query) -> tuple[VectorShape | None, list[Finding]]:
        reading = ExpressionReading(query.kind, self._targets, self._recorded, read)
        try:
            shape = reading.of(parsed(query.expression))
        except ValueError as exc:
            return None, [_unparsed(str(exc))]
        except RecursionError:
            return None, [error("the expression is nested too deeply", "move parts of it into recording rules")]
        return reading.rated(shape), reading.found

    def _recorded(self, name: str) -> VectorShape | None:
        """Return the shape of what all rules of this name record; None if no rule does."""
        if name not in self._records:
            return None
        if name not in self._known:
            # a rule that uses itself gets an unknown shape
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
    """Parse an expression. Raises `ValueError` if it is not PromQL."""
    try:
        return promql_parser.parse(expression)
    except BaseException as exc:
        # a panic of the parser, as at `offset NaN`, is not an Exception
        if type(exc).__name__ == "PanicException":
            raise ValueError(str(exc)) from None
        raise


def placed(query: Query, finding: Finding) -> Placed:
    """Add the query's place to a finding."""
    return Placed(query.where, finding, query.written or query.expression)


def _unparsed(problem: str) -> Finding:
    if "ranges only allowed" in problem:
        return error("parse error: only a plain metric takes a range", "write a subquery, as in (…)[1h:15s]")
    if "expected type matrix" in problem or "got vector" in problem:
        return error(f"parse error: {problem}", "give the metric a range, as in [5m]")
    return error(
        f"parse error: {problem}", "correct the expression; https://prometheus.io/docs/prometheus/latest/querying"
    )
