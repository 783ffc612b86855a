"""Operators: the shape of their results, sides that never match, and comparisons."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping

from promql_parser import BinaryExpr, BinModifier, Expr, LabelModifierType, UnaryExpr, VectorSelector

from llmmetrics.cli.output.findings import error, warning
from llmmetrics.cli.rules.matching import difference, key, keys, matched
from llmmetrics.cli.rules.reading import ExpressionReading, text
from llmmetrics.cli.rules.shape import OTHER, SCALAR, VectorShape, labels_of, listed
from llmmetrics.cli.rules.thresholds import COMPARES, compared

_COUNTED = ("calls", "tokens", "usd")
"""Units whose quotient is a ratio."""

_NUMBERS: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def binary(reading: ExpressionReading, node: BinaryExpr) -> VectorShape:
    """Compute the shape of an operator's result; report what is wrong with it."""
    op = str(node.op)
    left, right = reading.of(node.lhs), reading.of(node.rhs)
    if op in ("and", "or", "unless"):
        return _set(reading, node, op, left, right)
    if left.scalar and right.scalar:
        return SCALAR._replace(number=_number(op, left.number, right.number))
    left, right = reading.rated(left), reading.rated(right)
    if left.scalar or right.scalar:
        return _with_number(reading, op, left, right)
    return _two(reading, node, left, right)


def _two(reading: ExpressionReading, node: BinaryExpr, left: VectorShape, right: VectorShape) -> VectorShape:
    op, modifier = str(node.op), node.modifier
    if left.series is None or right.series is None or _filled(modifier):
        return OTHER
    if modifier and modifier.matching and modifier.matching.type == LabelModifierType.Include:
        absent = set(modifier.matching.labels) - labels_of(left.series | right.series)
        if absent:
            what = f"{op} on ({listed(absent)}): neither side has this label, so it has no effect"
            reading.say(warning(what, "match on labels that both sides have"))
    match = matched(left.series, right.series, modifier)
    if match.several:
        what = f"several series on the {match.several} side of {op} match one of the other: Prometheus refuses that"
        do = "aggregate both sides by the same labels, as in sum by (job, backend) (…), or use group_left, group_right"
        reading.say(error(what, do))
        return OTHER
    unit = left.unit if op in COMPARES else _unit(op, left, right)
    if not match.series:
        _never(reading, node, left, right)
        # keep the unit, so that comparisons are still checked
        return OTHER._replace(unit=unit)
    shape = left._replace(series=match.series, raw=left.raw and right.raw, names=left.names | right.names, unit=unit)
    if op in COMPARES:
        return shape
    return shape._replace(repeated=left.repeated and right.repeated, per_second=False)


def _filled(modifier: BinModifier | None) -> bool:
    """Return whether `fill(…)` gives a value to series that do not match."""
    return modifier is not None and (modifier.fill_values.lhs, modifier.fill_values.rhs) != (None, None)


def _never(reading: ExpressionReading, node: BinaryExpr, left: VectorShape, right: VectorShape) -> None:
    op, sides = str(node.op), (left.series or frozenset(), right.series or frozenset())
    how = "max" if left.repeated or right.repeated else "sum"
    reading.say(
        error(
            f"the two sides of {op} never match, so the result is empty: {difference(*sides, node.modifier)}",
            f"{how} by (job, backend) ({text(node.lhs)}) {op} {how} by (job, backend) ({text(node.rhs)})",
        )
    )


def _set(reading: ExpressionReading, node: BinaryExpr, op: str, left: VectorShape, right: VectorShape) -> VectorShape:
    if left.scalar or right.scalar or left.series is None or right.series is None:
        return left if op != "or" else OTHER
    if op == "or":
        return left._replace(
            series=left.series | right.series,
            names=left.names | right.names,
            type=left.type or right.type,
            unit=left.unit if left.unit == right.unit else "",
        )
    modifier = node.modifier
    theirs = keys(right.series, modifier)
    both = frozenset(each for each in left.series if key(each, modifier) in theirs)
    if not both:
        effect = "the result is empty" if op == "and" else "it removes nothing"
        differs = difference(left.series, right.series, modifier)
        reading.say(
            error(f"the two sides of {op} never match, so {effect}: {differs}", f"{op} on (job, backend), or aggregate")
        )
        return OTHER if op == "and" else left
    if op == "and":
        return left._replace(series=both)
    # `x unless x offset 1h`: series that are younger than an hour, so their value is their increase
    return left._replace(type="") if _earlier(node.rhs, left) else left


def _earlier(node: Expr, shape: VectorShape) -> bool:
    return isinstance(node, VectorSelector) and node.offset is not None and node.name in shape.names


def _with_number(reading: ExpressionReading, op: str, left: VectorShape, right: VectorShape) -> VectorShape:
    shape, number, flipped = (right, left.number, True) if left.scalar else (left, right.number, False)
    if op in COMPARES:
        if number is not None:
            for finding in compared(reading.kind, shape, op, number, flipped=flipped):
                reading.say(finding)
        return shape
    return shape._replace(unit=_scaled(op, shape.unit, number, flipped), repeated=shape.repeated and op != "%")


def _scaled(op: str, unit: str, number: float | None, flipped: bool) -> str:
    """Compute the unit after a multiplication, a division, or a subtraction from 1 or 100."""
    if op == "*" and number == 100 and unit == "ratio":
        return "percent"
    if op == "/" and number == 100 and unit == "percent" and not flipped:
        return "ratio"
    if op == "-" and flipped and (unit, number) in (("ratio", 1), ("percent", 100)):
        return unit
    return unit if unit in _COUNTED and op == "*" and number is not None and number > 0 else ""


def _unit(op: str, left: VectorShape, right: VectorShape) -> str:
    if op == "/":
        return "ratio" if left.unit == right.unit and left.unit in _COUNTED else ""
    return left.unit if op == "+" and left.unit == right.unit else ""


def _number(op: str, left: float | None, right: float | None) -> float | None:
    if left is None or right is None or op not in _NUMBERS or (op == "/" and right == 0):
        return None
    return _NUMBERS[op](left, right)


def unary(reading: ExpressionReading, node: UnaryExpr) -> VectorShape:
    """Compute the shape of a negated expression."""
    shape = reading.of(node.expr)
    if shape.scalar:
        return shape._replace(number=None if shape.number is None else -shape.number)
    return reading.rated(shape)._replace(unit="")
