"""Reads an expression against the simulated traffic: the shape of its result, and findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from promql_parser import (
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    VectorSelector,
)

from llmmetrics.cli.rules import simulated
from llmmetrics.cli.rules.aggregations import aggregate
from llmmetrics.cli.rules.functions import call
from llmmetrics.cli.rules.operators import binary, unary
from llmmetrics.cli.rules.reading import ExpressionReading
from llmmetrics.cli.rules.selectors import PREFIXES, choose, name_of, unknown_name
from llmmetrics.cli.rules.shape import OTHER, SCALAR, VectorShape, unit_of
from llmmetrics.cli.rules.simulated import REPEATED, SAMPLES


def read(reading: ExpressionReading, node: Expr) -> VectorShape:
    """Compute the shape of a part of an expression."""
    return _READERS[type(node)](reading, node)


def _selector(reading: ExpressionReading, node: VectorSelector) -> VectorShape:
    name = name_of(node)
    if name is None:
        return OTHER
    shape = reading.recorded(name)
    if shape is None and name in SAMPLES:
        shape = _sample(name, reading.targets)
    if shape is None:
        if name.startswith(PREFIXES):
            reading.say(unknown_name(name))
        return OTHER
    if shape.series is None or node.matchers.or_matchers:
        return OTHER
    result = OTHER
    for each in choose(shape, name, node.matchers.matchers):
        if isinstance(each, VectorShape):
            result = each
        else:
            reading.say(each)
    return result


def _sample(name: str, targets: frozenset[str]) -> VectorShape:
    kind = "gauge" if SAMPLES[name].type == "gauge" else "counter"
    return VectorShape(
        simulated.series(name, targets),
        type=kind,
        names=frozenset([name]),
        raw=True,
        repeated=name in REPEATED,
        unit=unit_of(name),
    )


_READERS: Mapping[type, Callable[[ExpressionReading, Any], VectorShape]] = {
    AggregateExpr: aggregate,
    BinaryExpr: binary,
    Call: call,
    MatrixSelector: lambda reading, node: reading.of(node.vector_selector),
    NumberLiteral: lambda _reading, node: SCALAR._replace(number=node.val),
    ParenExpr: lambda reading, node: reading.of(node.expr),
    StringLiteral: lambda _reading, _node: SCALAR,
    SubqueryExpr: lambda reading, node: reading.of(node.expr),
    UnaryExpr: unary,
    VectorSelector: _selector,
}
