"""What is wrong with a comparison to a number: one that can never hold, or one of the wrong thing."""

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
"""Between what the values of a unit lie. A quantile is at most the last bound of the buckets."""

_NEVER: Mapping[str, Callable[[tuple[float, float], float], bool]] = {
    ">": lambda span, number: number >= span[1],
    ">=": lambda span, number: number > span[1],
    "<": lambda span, number: number <= span[0],
    "<=": lambda span, number: number < span[0],
    "==": lambda span, number: not span[0] <= number <= span[1],
}

_PERCENT = 20
"""A ratio that is compared to so much was meant to be a percentage."""


def compared(kind: str, shape: VectorShape, op: str, number: float, *, flipped: bool) -> Iterator[Finding]:
    """What is wrong with `shape op number`; `flipped`: it was written the other way round."""
    op = _FLIPPED.get(op, op) if flipped else op
    low, high = _LIMITS.get(shape.unit, (-inf, inf))
    names = listed(shape.names)
    if op in _NEVER and _NEVER[op]((low, high), number):
        span = f"from {low:g} to {high:g}" if high < inf else f"{low:g} or more"
        last = " (a quantile is never above the last bucket's bound)" if shape.unit == "latency" else ""
        yield error(f"{op} {number:g} never holds: the values are {span}{last}", "compare to a number between")
    if shape.unit == "ratio" and number >= _PERCENT:
        yield error(f"a ratio is compared to {number:g}: its values are about 0 to 1", f"{op} {number / 100:g}")
    if op not in (">", ">=") or number <= 0:
        return
    counters = all(SAMPLES[each].type != "gauge" for each in shape.names if each in SAMPLES)
    if kind == "alert" and shape.raw and counters and shape.unit in ("calls", "tokens", "usd"):
        what = f"each series of {names} is compared to {number:g} by itself: two that reach it together do not"
        yield warning(what, f"sum by (job) (…) {op} {number:g}, or by whatever the limit is meant for")
    if shape.per_second and number < 1 and shape.names == {"llm_errors_total"}:
        ratio = (
            "sum by (job, backend) (rate(llm_errors_total[5m])) / sum by (job, backend) (rate(llm_requests_total[5m]))"
        )
        what = f"{number:g} is compared to errors per second, by type: no share of the requests"
        yield warning(what, f"{ratio} {op} {number:g}")
