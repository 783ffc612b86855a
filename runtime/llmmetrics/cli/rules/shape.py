"""What an expression gives on the simulated traffic: which series, and what their values are of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from llmmetrics.cli.rules.simulated import Labels

NO_LABELS: frozenset[Labels] = frozenset([frozenset()])


class VectorShape(NamedTuple):
    """A result without its numbers. `series` is None where nobody here knows it: metrics of other programs."""

    series: frozenset[Labels] | None
    scalar: bool = False
    number: float | None = None
    """The value of a constant."""
    type: str = ""
    """`counter` or `gauge` as long as it is the metric itself, and nothing computed from it."""
    names: frozenset[str] = frozenset()
    """The metrics that it was computed from."""
    raw: bool = False
    """Whether nothing has aggregated it: a series an instance."""
    repeated: bool = False
    """Whether every instance shows the same value."""
    per_second: bool = False
    unit: str = ""
    """`calls`, `tokens`, `usd`, `seconds`, `latency` (a quantile), `health`, `ratio`, `percent`; empty: unknown."""


OTHER = VectorShape(None)
"""Of metrics that are not ours, or of what is wrong and has been told."""

SCALAR = VectorShape(NO_LABELS, scalar=True)


def unit_of(sample: str) -> str:
    """What the values of a sample of ours are of."""
    if sample.endswith("_usd"):
        return "usd"
    if sample.endswith("_seconds_sum"):
        return "seconds"
    if "_tokens_" in sample:
        return "tokens"
    if sample == "llm_backend_health":
        return "health"
    return "" if sample.endswith("_timestamp_seconds") else "calls"


def without(each: Labels, names: Iterable[str]) -> Labels:
    """A series without these labels."""
    dropped = frozenset(names)
    return frozenset(pair for pair in each if pair[0] not in dropped)


def labels_of(series: Iterable[Labels]) -> frozenset[str]:
    """The labels that any of them has."""
    return frozenset(name for each in series for name, _ in each)


def listed(names: Iterable[str]) -> str:
    """Names in a sentence."""
    return ", ".join(sorted(names)) or "none"
