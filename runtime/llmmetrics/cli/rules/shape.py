"""The shape of an expression's result on the simulated traffic: its series, and the unit of their values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from llmmetrics.cli.rules.simulated import Labels

NO_LABELS: frozenset[Labels] = frozenset([frozenset()])


class VectorShape(NamedTuple):
    """A result without its numbers. `series` is None if they are unknown: metrics of other programs."""

    series: frozenset[Labels] | None
    scalar: bool = False
    number: float | None = None
    """The value of a constant."""
    type: str = ""
    """`counter` or `gauge` for a plain metric; empty for a computed value."""
    names: frozenset[str] = frozenset()
    """The metrics that it was computed from."""
    raw: bool = False
    """Whether it is not aggregated: one series for each instance."""
    repeated: bool = False
    """Whether every instance exports the same value."""
    per_second: bool = False
    unit: str = ""
    """`calls`, `tokens`, `usd`, `seconds`, `latency` (a quantile), `health`, `ratio`, `percent`; empty: unknown."""


OTHER = VectorShape(None)
"""The shape of metrics of other programs, and of expressions whose error is already reported."""

SCALAR = VectorShape(NO_LABELS, scalar=True)


def unit_of(sample: str) -> str:
    """Return the unit of one of our samples."""
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
    """Remove these labels from a series."""
    dropped = frozenset(names)
    return frozenset(pair for pair in each if pair[0] not in dropped)


def labels_of(series: Iterable[Labels]) -> frozenset[str]:
    """Return every label name of these series."""
    return frozenset(name for each in series for name, _ in each)


def listed(names: Iterable[str]) -> str:
    """Join names for a sentence."""
    return ", ".join(sorted(names)) or "none"
