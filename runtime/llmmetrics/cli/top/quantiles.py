"""How long most calls took, from a histogram's buckets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Latency(NamedTuple):
    """A quantile in seconds; `above` where it is more than that, the largest bucket's bound."""

    seconds: float
    above: bool = False


def quantile(buckets: Mapping[str, float], part: float) -> Latency | None:
    """A histogram's quantile from its cumulative buckets by `le`, as Prometheus' `histogram_quantile` has it."""
    bounds = sorted((bound, count) for text, count in buckets.items() if (bound := _number(text)) >= 0)
    total = max((count for _, count in bounds), default=0.0)
    if total <= 0:
        return None
    rank, low, below = part * total, 0.0, 0.0
    for bound, count in bounds:
        if count >= rank and bound < float("inf"):
            # below is less than count here: a bucket that ends at the rank is taken by the one before
            return Latency(low + (bound - low) * (rank - below) / (count - below) if count > below else bound)
        if bound < float("inf"):
            low, below = bound, max(below, count)
    return Latency(low, above=True)


def _number(text: str) -> float:
    """A bucket's bound; of a page that holds anything, no bound at all."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
