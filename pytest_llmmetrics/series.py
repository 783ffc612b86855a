"""The registries that a test's calls are counted in, read as one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from prometheus_client import CollectorRegistry

from llmmetrics.testing import CallRecord, meters, observe


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

    def read(self) -> Snapshot:
        """Every series; those of several registries that are alike are added up."""
        found: dict[Series, float] = defaultdict(float)
        for registry in self._registries():
            for metric in registry.collect():
                for sample in metric.samples:
                    found[Series(sample.name, tuple(sorted(sample.labels.items())))] += sample.value
        return dict(found)

    def _registries(self) -> list[CollectorRegistry]:
        # what the records hold lives on, whatever the code under test does with its meter
        alive = (*meters(), *(each.meter for each in list(self.records)))
        return list({id(each.registry): each.registry for each in alive}.values())


@contextmanager
def watching() -> Iterator[Watcher]:
    """A watcher that is told of every call that ends inside the block."""
    watcher = Watcher()
    with observe(watcher.records.append):
        yield watcher
