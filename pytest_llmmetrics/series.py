"""The registries that a test's calls are counted in, read as one."""

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
    """Every call that ends, and the series of every meter that is alive, or was when it counted one of them."""

    def __init__(self) -> None:
        self.records: list[CallRecord] = []
        self._registries: dict[int, CollectorRegistry] = {}
        """Held to the end of the test, so that what has been counted stays counted, whatever becomes of its meter."""

    def read(self) -> Snapshot:
        """Every series; those of several registries that are alike are added up."""
        found: dict[Series, float] = defaultdict(float)
        for meter in (*meters(), *(each.meter for each in list(self.records))):
            self._registries.setdefault(id(meter.registry), meter.registry)
        for registry in self._registries.values():
            for metric in registry.collect():
                for sample in metric.samples:
                    found[Series(sample.name, tuple(sorted(sample.labels.items())))] += sample.value
        return dict(found)


@contextmanager
def watching() -> Iterator[Watcher]:
    """A watcher that is told of every call that ends inside the block."""
    watcher = Watcher()
    with observe(watcher.records.append):
        yield watcher
