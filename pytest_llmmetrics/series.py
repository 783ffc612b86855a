"""Reads the registries of all meters of a test as one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from prometheus_client import CollectorRegistry

from llmmetrics.testing import CallRecord, observe
from llmmetrics.testing.harness import meters


class Series(NamedTuple):
    """One series: its sample's name and its labels."""

    name: str
    labels: tuple[tuple[str, str], ...]

    @property
    def bucket(self) -> bool:
        return self.name.endswith("_bucket")

    def __str__(self) -> str:
        labels = ",".join(f'{name}="{value}"' for name, value in self.labels)
        return f"{self.name}{{{labels}}}"


Snapshot = Mapping[Series, float]


class Watcher:
    """Collects every call that ends, and reads the series of every meter that is alive or has counted a call."""

    def __init__(self) -> None:
        self.records: list[CallRecord] = []
        self._registries: dict[int, CollectorRegistry] = {}
        """Kept until the test ends: the counts must outlive their meters."""

    def read(self) -> Snapshot:
        """Return every series; equal series of several registries are summed."""
        series: dict[Series, float] = defaultdict(float)
        for meter in (*meters(), *(each.meter for each in list(self.records))):
            self._registries.setdefault(id(meter.registry), meter.registry)
        for registry in self._registries.values():
            for metric in registry.collect():
                for sample in metric.samples:
                    series[Series(sample.name, tuple(sorted(sample.labels.items())))] += sample.value
        return dict(series)


@contextmanager
def watching() -> Iterator[Watcher]:
    """Collect every call that ends inside the block."""
    watcher = Watcher()
    with observe(watcher.records.append):
        yield watcher
