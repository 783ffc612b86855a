"""Checks comparisons to a number: one that never holds, or one of the wrong unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import inf

from llmmetrics.cli.output.findings import Finding, error, warning
from llmmetrics.cli.rules.shape import VectorShape, listed
from llmmetrics.cli.rules.simulated import BOUNDS, SAMPLES

COMPARES = ("==", "!=", ">", "<", ">=", "<=")

_FLIPPED = {">": "<", "<": ">", ">=": "<=", "<=": ">="}

_LIMITS: Mapping[str, tuple[float, float]] = {
    "health": (0, 1),
    "latency": (0, BOUNDS[-2]),
    **dict.fromkeys(("calls", "tokens", "usd", "seconds"), (0, inf)),
}
"""The range of a unit's values. A quantile is at most the last finite bound of the buckets."""

_NEVER: Mapping[str, Callable[[tuple[float, float], float], bool]] = {
    ">": lambda span, number: number >= span[1],
    ">=": lambda span, number: number > span[1],
    "<": lambda span, number: number <= span[0],
    "<=": lambda span, number: number < span[0],
    "==": lambda span, number: not span[0] <= number <= span[1],
}

_PERCENT = 20
"""From this number on, a comparison of a ratio was probably meant as a percentage."""


def compared(kind: str, shape: VectorShape, op: str, number: float, *, flipped: bool) -> Iterator[Finding]:
    """Check `shape op number`; `flipped`: the file has `number op shape`."""
    op = _FLIPPED.get(op, op) if flipped else op
    low, high = _LIMITS.get(shape.unit, (-inf, inf))
    names = listed(shape.names)
    if op in _NEVER and _NEVER[op]((low, high), number):
        span = f"from {low:g} to {high:g}" if high < inf else f"{low:g} or more"
        last = " (a quantile is never above the last bucket's bound)" if shape.unit == "latency" else ""
        yield error(f"{op} {number:g} never holds: the values are {span}{last}", "compare with a number in this range")
    if shape.unit == "ratio" and number >= _PERCENT:
        yield error(f"a ratio is compared with {number:g}: its values are from 0 to about 1", f"{op} {number / 100:g}")
    if op not in (">", ">=") or number <= 0:
        return
    counters = all(SAMPLES[each].type != "gauge" for each in shape.names if each in SAMPLES)
    if kind == "alert" and shape.raw and counters and shape.unit in ("calls", "tokens", "usd"):
        what = f"each series of {names} is compared with {number:g} separately, not their sum"
        yield warning(what, f"sum by (job) (…) {op} {number:g}, or sum by the labels that the limit is for")
    if shape.per_second and number < 1 and shape.names == {"llm_errors_total"}:
        ratio = (
            "sum by (job, backend) (rate(llm_errors_total[5m])) / sum by (job, backend) (rate(llm_requests_total[5m]))"
        )
        what = f"{number:g} is compared with errors per second, by type: that is not a share of the requests"
        yield warning(what, f"{ratio} {op} {number:g}")
