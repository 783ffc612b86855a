"""PromQL's functions: the shape of their results, and which of them are for counters. By name, in tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from promql_parser import Call, MatrixSelector, StringLiteral, ValueType

from llmmetrics.cli.output.findings import error, warning
from llmmetrics.cli.rules.reading import ExpressionReading, text
from llmmetrics.cli.rules.shape import NO_LABELS, OTHER, SCALAR, VectorShape, labels_of, listed, without

_RATES = ("rate", "increase", "irate")

_FOR_GAUGES = ("delta", "idelta", "deriv", "predict_linear", "holt_winters", "double_exponential_smoothing")

_BLIND = ("changes", "resets", "count_over_time", "present_over_time", "timestamp")
"""Functions that may take a counter without rate(): their result is not its value."""

_SAME_UNIT = (
    *("abs", "ceil", "floor", "round", "clamp", "clamp_min", "clamp_max"),
    *("sort", "sort_desc", "sort_by_label", "sort_by_label_desc"),
    *("avg_over_time", "min_over_time", "max_over_time", "last_over_time", "quantile_over_time"),
    *("predict_linear", "holt_winters", "double_exponential_smoothing"),
)

_GROWS = "llm_backend_budget_usd"
"""A gauge that only grows until its window ends, and then falls to 0, as a counter does at a restart: rate() fits."""


def call(reading: ExpressionReading, node: Call) -> VectorShape:
    """Compute the shape of a function's result; report what is wrong with the call."""
    return _SPECIAL.get(node.func.name, _plain)(reading, node)


def _arguments(reading: ExpressionReading, node: Call) -> VectorShape | None:
    """Read all arguments; return the vector or matrix among them."""
    shapes = [reading.of(each) for each in node.args]
    return next((each for each in shapes if not each.scalar), None)


def _plain(reading: ExpressionReading, node: Call) -> VectorShape:
    name, shape = node.func.name, _arguments(reading, node)
    if node.func.return_type == ValueType.Scalar:
        return SCALAR
    if shape is None:
        return VectorShape(NO_LABELS)
    if name in _FOR_GAUGES and shape.type == "counter":
        do = f"write rate({listed(shape.names)}[5m]) or increase(…): they handle restarts"
        reading.say(warning(f"{name}() is for gauges, and {listed(shape.names)} is a counter", do))
    elif name not in _BLIND:
        shape = reading.rated(shape)
    unit = shape.unit if name in _SAME_UNIT else ""
    return shape._replace(type="", unit=unit, repeated=shape.repeated and bool(unit))


def _rate(reading: ExpressionReading, node: Call) -> VectorShape:
    name, shape = node.func.name, reading.of(node.args[0])
    if shape.type == "gauge" and isinstance(node.args[0], MatrixSelector) and _GROWS not in shape.names:
        names = listed(shape.names)
        do = f"write delta({names}[5m]) or max_over_time({names}[5m])"
        reading.say(error(f"{name}() is for counters, and {names} is a gauge: each fall counts as a restart", do))
    return shape._replace(type="", per_second=name != "increase")


def _quantile(reading: ExpressionReading, node: Call) -> VectorShape:
    shapes = [reading.of(each) for each in node.args]
    shape = reading.rated(shapes[-1])
    if shape.series is None:
        return OTHER
    inner = text(node.args[-1])
    right = f"histogram_quantile({text(node.args[0])}, sum by (le, backend) ({inner}))"
    if "le" not in labels_of(shape.series):
        if not any("without `le`" in each.what for each in reading.found):
            reading.say(error(f"histogram_quantile() needs the label le, and {inner} has none", right))
        return OTHER
    if shape.raw:
        what = "histogram_quantile() of single series gives a quantile for each instance and model, not for a backend"
        reading.say(warning(what, right))
    series = frozenset(without(each, ["le"]) for each in shape.series)
    return shape._replace(series=series, unit="latency", type="", per_second=False)


def _replaced(reading: ExpressionReading, node: Call) -> VectorShape:
    """Compute the shape of `label_replace` and `label_join`, which add or change a label."""
    shape = _arguments(reading, node) or OTHER
    if shape.series is None:
        return OTHER
    target, *words = [each.val if isinstance(each, StringLiteral) else "" for each in node.args[1:]]
    if node.func.name == "label_join":
        separator, *sources = words
        rows = [row | {target: separator.join(row.get(each, "") for each in sources)} for row in _rows(shape)]
    else:
        rows = [row | {target: _value(row, target, *words)} for row in _rows(shape)]
    # an empty label counts as absent
    series = frozenset(frozenset(pair for pair in row.items() if pair[1]) for row in rows)
    if len(series) < len(shape.series):
        what = f"{node.func.name}() gives several series the same labels, which Prometheus refuses"
        reading.say(error(what, f"aggregate first, or write to a label other than {target!r}"))
        return OTHER
    return shape._replace(series=series)


def _rows(shape: VectorShape) -> list[dict[str, str]]:
    return [dict(each) for each in shape.series or ()]


def _value(row: Mapping[str, str], target: str, template: str, source: str, pattern: str) -> str:
    """Compute what `label_replace` writes; if it depends on unknown values, a distinct text for each of them."""
    if template in ("$1", "${1}"):
        return row.get(source, "")
    if "$" not in template and pattern in ("", ".*", "(.*)"):
        return template
    return f"{template} of {row.get(source, '')}, {row.get(target, '')}"


def _absent(reading: ExpressionReading, node: Call) -> VectorShape:
    """Read the argument of `absent`; the result itself is not checked."""
    reading.of(node.args[0])
    return OTHER


def _vector(reading: ExpressionReading, node: Call) -> VectorShape:
    return reading.of(node.args[0])._replace(scalar=False)


_SPECIAL: Mapping[str, Callable[[ExpressionReading, Any], VectorShape]] = {
    **dict.fromkeys(_RATES, _rate),
    **dict.fromkeys(("label_replace", "label_join"), _replaced),
    **dict.fromkeys(("absent", "absent_over_time"), _absent),
    "histogram_quantile": _quantile,
    "vector": _vector,
}
