"""Aggregations such as `sum by (…)`: the series of their result, and what they must not add up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from promql_parser import AggModifierType, AggregateExpr, Expr

from llmmetrics.cli.output.findings import error, warning
from llmmetrics.cli.rules.reading import ExpressionReading, text
from llmmetrics.cli.rules.selectors import TARGETS
from llmmetrics.cli.rules.shape import OTHER, VectorShape, labels_of, listed, without
from llmmetrics.cli.rules.simulated import OURS, Labels

_CHOOSES = ("topk", "bottomk", "limitk", "limit_ratio")
"""Operators that keep the labels of the series."""

_COUNTS = ("count", "group", "count_values")
"""Operators that ignore the values."""

_ADDS = ("sum", "avg")

_SHOWS = ("avg", "min", "max", "quantile")
"""Operators whose result has the unit and the bounds of their input."""


def aggregate(reading: ExpressionReading, node: AggregateExpr) -> VectorShape:
    """Compute the shape of an aggregation's result; report what is wrong with it."""
    op = str(node.op)
    shape = reading.of(node.expr)
    parameter = reading.of(node.param) if isinstance(node.param, Expr) else None
    if op not in _COUNTS:
        shape = reading.rated(shape)
    if shape.series is None or parameter == OTHER or op in _CHOOSES:
        return shape
    groups = _groups(reading, node, shape.series)
    _added_up(reading, node, op, shape, groups)
    result = frozenset(groups)
    if op == "count_values":
        result = frozenset(each | {(str(node.param).strip('"'), "1")} for each in result)
    keeps = op in _SHOWS or (op == "sum" and shape.unit not in ("health", "latency", "ratio", "percent"))
    return shape._replace(
        series=result,
        type="",
        raw=False,
        repeated=shape.repeated and "instance" in labels_of(result),
        per_second=shape.per_second and op not in _COUNTS,
        unit=shape.unit if keeps else "",
    )


def _groups(reading: ExpressionReading, node: AggregateExpr, series: Iterable[Labels]) -> dict[Labels, list[Labels]]:
    names = frozenset(node.modifier.labels) if node.modifier else frozenset()
    by = node.modifier is None or node.modifier.type == AggModifierType.By
    present = labels_of(series)
    if by and (missing := names - present):
        has = listed(present & (OURS | {"job", "instance"}))
        what = f"{node.op!s} by ({listed(missing)}): {text(node.expr)} has no such label"
        reading.say(error(what, f"its labels are {has}"))
    groups: dict[Labels, list[Labels]] = defaultdict(list)
    for each in series:
        group = frozenset(pair for pair in each if pair[0] in names) if by else without(each, names)
        groups[group].append(each)
    return groups


def _added_up(
    reading: ExpressionReading, node: AggregateExpr, op: str, shape: VectorShape, groups: dict[Labels, list[Labels]]
) -> None:
    inner, names = text(node.expr), listed(shape.names)
    if op in _ADDS and any(map(with_total, groups.values())):
        reading.say(
            error(
                f"{op} counts tokens twice: token_type `total` is `prompt` + `completion`",
                'select {token_type!="total"}, or only {token_type="total"}',
            )
        )
    if op in _ADDS and any(_equal_but(each, {"le"}) for each in groups.values()):
        reading.say(
            error(
                f"{op} without `le`: buckets are cumulative, so each call is counted in several of them, and "
                "histogram_quantile() cannot work without `le`",
                f"{op} by (le, backend) ({inner}); to count calls, use the _count series",
            )
        )
    several = any(_equal_but(each, TARGETS | reading.targets) for each in groups.values())
    apart = op == "count" and "backend" in labels_of(groups)
    if shape.repeated and op in ("sum", "count") and several and not apart:
        reading.say(
            warning(
                f"{op} counts instances, not backends: every instance exports {names} of every backend",
                f"{op}({_once(shape.names)} by (job, backend) ({inner})): take each backend once, then apply {op}",
            )
        )


def _once(names: frozenset[str]) -> str:
    """Choose the operator that joins a gauge's values of several instances: one unhealthy makes all unhealthy."""
    return "min" if names == {"llm_backend_health"} else "max"


def with_total(series: Sequence[Labels]) -> bool:
    """Return whether both tokens and their total are among these series."""
    totals = {without(each, ["token_type"]) for each in series if ("token_type", "total") in each}
    return any(
        without(each, ["token_type"]) in totals
        for each in series
        if ("token_type", "total") not in each and "token_type" in labels_of([each])
    )


def _equal_but(series: Sequence[Labels], names: Iterable[str]) -> bool:
    """Return whether two of these series differ only in these labels."""
    return len({without(each, names) for each in series}) < len(series)
