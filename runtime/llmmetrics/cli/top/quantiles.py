"""Computes a quantile of durations from a histogram's buckets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Latency(NamedTuple):
    """A quantile in seconds; `above` means more than this, the largest bucket's bound."""

    seconds: float
    above: bool = False


def quantile(buckets: Mapping[str, float], part: float) -> Latency | None:
    """Compute a quantile from cumulative buckets by `le`, as Prometheus' `histogram_quantile` does."""
    bounds = sorted((bound, count) for text, count in buckets.items() if (bound := _number(text)) >= 0)
    total = max((count for _, count in bounds), default=0.0)
    if total <= 0:
        return None
    rank, low, below = part * total, 0.0, 0.0
    for bound, count in bounds:
        if count >= rank and bound < float("inf"):
            # below is less than count here: a bucket that ends at the rank was returned one step before
            return Latency(low + (bound - low) * (rank - below) / (count - below) if count > below else bound)
        if bound < float("inf"):
            low, below = bound, max(below, count)
    return Latency(low, above=True)


def _number(text: str) -> float:
    """Parse a bucket's bound; NaN if it is not a number, as on a broken page."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
