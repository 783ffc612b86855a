"""Replaces prometheus-client's `MultiProcessCollector`, and keeps the documented names of the families."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, multiprocess
from prometheus_client.metrics_core import Metric

from llmmetrics.metrics.definitions import catalogue_gauge
from llmmetrics.metrics.ended_workers import merged
from llmmetrics.metrics.names import exact
from llmmetrics.metrics.registry import registered
from llmmetrics.pricing.catalogue import catalogue_version
from llmmetrics.system.processes import VARIABLE, sweep


class MultiProcessCollector:
    """Collects the values of every process from the directory in PROMETHEUS_MULTIPROC_DIR.

    Use it like prometheus-client's own: `MultiProcessCollector(registry, path=None)`, with a new registry for
    each scrape. Requests in flight of ended processes do not count.
    """

    merge = staticmethod(multiprocess.MultiProcessCollector.merge)

    def __init__(self, registry: CollectorRegistry | None, path: str | None = None) -> None:
        self._path = path or os.environ.get(VARIABLE, "")
        theirs: Any = multiprocess.MultiProcessCollector
        self._files = theirs(None, path)
        if registry is not None:
            registry.register(self)

    def collect(self) -> Iterator[Metric]:
        for families in registered():
            families.prepare()
        sweep(self._path)
        with merged(self._path):
            metrics: Iterable[Metric] = sorted(map(exact, self._files.collect()), key=lambda metric: str(metric.name))
        for families in registered():
            metrics = families.with_budgets(metrics)
        yield from metrics
        if registered():
            # the version of this process: the others have the same, except for minutes after a refresh
            yield catalogue_gauge(catalogue_version())

    def describe(self) -> Iterable[Metric]:
        """Describe the documented families: the directory holds them under other names."""
        return [metric for families in registered() for metric in families.describe()]
