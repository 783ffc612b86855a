"""Collects finished calls, and writes them to a registry in batches."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

from llmmetrics.pricing.price import ATTO
from llmmetrics.reading.error_types import Status

TOKEN_TYPES = ("prompt", "completion", "total")


def _observe(histogram: Any, values: Sequence[float]) -> None:
    """Observe several values at once, if this version of prometheus-client allows it."""
    try:
        bounds, buckets, total = histogram._upper_bounds, histogram._buckets, histogram._sum  # noqa: SLF001
    except AttributeError:
        for each in values:
            histogram.observe(each)
        return
    # a search of each bound among the values: of each value among the bounds would be more searches
    ordered, below = sorted(values), 0
    for bucket, bound in zip(buckets, bounds, strict=True):
        if (within := bisect_right(ordered, bound, below)) > below:
            bucket.inc(within - below)
            if (below := within) == len(ordered):
                break
    total.inc(sum(values))


Finished = tuple[Status, float, int, int, int | None]
"""A finished call: status, seconds, prompt and completion tokens, and attodollars if the price is known."""


class Batches:
    """The children of one backend and model, and the finished calls that are not written to them yet.

    Writing each call separately would take nine locks.
    """

    def __init__(self, families: Mapping[str, Any], backend: str, model: str, batch: int) -> None:
        self._labels = (backend, model)
        self._cost, self._first_chunk = families["cost"], families["first_chunk"]
        self._priced: Any = None
        self.size = batch
        """How many calls are written at once."""
        self.finished: list[Finished] = []
        """The finished calls that are not written yet. After the last of a batch is added, `flush` has to be called."""
        self.first_chunks: list[float] = []
        """Seconds to the first chunks of those that are streams."""
        self._lock = Lock()
        self._requests = {each: families["requests"].labels(backend, model, each.value) for each in Status}
        self._duration = families["duration"].labels(backend, model)
        self._tokens = [families["tokens"].labels(backend, model, each) for each in TOKEN_TYPES]

    def later(self, prompt: int, completion: int, cost: int | None) -> None:
        """Count the tokens and the cost (attodollars, None if unknown) of an answer whose call was counted before."""
        for child, tokens in zip(self._tokens, (prompt, completion, prompt + completion), strict=True):
            child.inc(tokens)
        if cost is not None:
            self.priced().inc(cost / ATTO)

    def priced(self) -> Any:
        """Create the cost child, at 0. Without a known price it must not exist: 0 would mean that calls are free."""
        if self._priced is None:
            self._priced = self._cost.labels(*self._labels)
        return self._priced

    def forget(self) -> None:
        """Empty the batch in a forked process: its calls belong to the parent."""
        self.finished.clear()
        self.first_chunks.clear()

    def flush(self) -> None:
        """Write the batch to the children. Slices of a list are atomic, so other calls may finish meanwhile."""
        with self._lock:
            if batch := self.finished[:]:
                del self.finished[: len(batch)]
                self._write(batch)
            if waits := self.first_chunks[:]:
                del self.first_chunks[: len(waits)]
                # created with its first stream
                _observe(self._first_chunk.labels(*self._labels), waits)

    def _write(self, batch: Sequence[Finished]) -> None:
        statuses, durations, prompts, completions, costs = zip(*batch, strict=True)
        for status in set(statuses):
            self._requests[status].inc(statuses.count(status))
        _observe(self._duration, durations)
        prompt, completion = sum(prompts), sum(completions)
        for child, tokens in zip(self._tokens, (prompt, completion, prompt + completion), strict=True):
            child.inc(tokens)
        if None in costs:
            costs = tuple(each for each in costs if each is not None)
        if costs:
            self.priced().inc(sum(costs) / ATTO)
