"""Collects finished calls, and writes them to a registry in batches."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter as Tallied
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
    for index, count in Tallied(bisect_left(bounds, each) for each in values).items():
        buckets[index].inc(count)
    total.inc(sum(values))


Finished = tuple[Status, float, int, int, int | None]
"""A finished call: status, seconds, prompt and completion tokens, and attodollars if the price is known."""


class Batches:
    """The children of one backend and model, and the finished calls that are not written to them yet.

    Writing each call separately would take nine locks.
    """

    def __init__(self, families: Mapping[str, Any], backend: str, model: str, batch: int) -> None:
        self._labels = (backend, model)
        self._cost = families["cost"]
        self._batch = batch
        self._finished: list[Finished] = []
        self._lock = Lock()
        self._requests = {each: families["requests"].labels(backend, model, each.value) for each in Status}
        self._duration = families["duration"].labels(backend, model)
        self._tokens = [families["tokens"].labels(backend, model, each) for each in TOKEN_TYPES]

    def add(self, finished: Finished) -> None:
        """Count a finished call."""
        self._finished.append(finished)
        if len(self._finished) >= self._batch:
            self.flush()

    def later(self, prompt: int, completion: int, cost: int | None) -> None:
        """Count the tokens and the cost (attodollars, None if unknown) of an answer whose call was counted before."""
        for child, tokens in zip(self._tokens, (prompt, completion, prompt + completion), strict=True):
            child.inc(tokens)
        if cost is not None:
            self.priced().inc(cost / ATTO)

    def priced(self) -> Any:
        """Create the cost child, at 0. Without a known price it must not exist: 0 would mean that calls are free."""
        return self._cost.labels(*self._labels)

    def forget(self) -> None:
        """Empty the batch in a forked process: its calls belong to the parent."""
        self._finished.clear()

    def flush(self) -> None:
        """Write the batch to the children. Slices of a list are atomic, so other calls may finish meanwhile."""
        with self._lock:
            if not (count := len(self._finished)):
                return
            batch = self._finished[:count]
            del self._finished[:count]
            statuses, durations, prompts, completions, costs = zip(*batch, strict=True)
            for status in set(statuses):
                self._requests[status].inc(statuses.count(status))
            _observe(self._duration, durations)
            prompt, completion = sum(prompts), sum(completions)
            for child, tokens in zip(self._tokens, (prompt, completion, prompt + completion), strict=True):
                child.inc(tokens)
            known = [each for each in costs if each is not None]
            if known:
                self.priced().inc(sum(known) / ATTO)
