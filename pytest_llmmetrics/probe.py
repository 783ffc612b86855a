"""The series of a registry as differences: what a test moved, read from the counters production exports."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

Series = tuple[str, frozenset[tuple[str, str]]]


class UnknownMetricError(AssertionError):
    """A metric or label that the registry cannot have."""


class Probe:
    """Compares a registry with what it was when the probe was made.

    Names are those of the samples, as a dashboard writes them: `llm_tokens_total`,
    `llm_request_duration_seconds_count`.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._start = self._read()

    def value(self, name: str, **labels: str) -> float:
        """The sum of the series with these labels, as it is now."""
        return self._sum(self._read(), name, labels)

    def delta(self, name: str, **labels: str) -> float:
        """What the sum of the series with these labels has changed by."""
        return self.value(name, **labels) - self._sum(self._start, name, labels)

    def moved(self) -> Mapping[Series, float]:
        """Every series that changed, with what it changed by."""
        changes = {series: value - self._start.get(series, 0.0) for series, value in self._read().items()}
        return {series: change for series, change in changes.items() if change}

    def _read(self) -> dict[Series, float]:
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self._registry.collect()
            for sample in family.samples
        }

    def _sum(self, series: Mapping[Series, float], name: str, labels: Mapping[str, str]) -> float:
        wanted = labels.items()
        self._check(name, labels)
        return sum(value for (each, has), value in series.items() if each == name and wanted <= has)

    def _check(self, name: str, labels: Mapping[str, str]) -> None:
        """A misspelt name must not pass for a 0."""
        described = {
            metric.name + suffix
            for collector in (self._registry,)
            for metric in collector.collect()
            for suffix in _SUFFIXES.get(metric.type, ("",))
        }
        # a counter whose name has no `_total` of its own is its own sample
        described |= {each for each, _ in self._read()}
        if name not in described:
            near = get_close_matches(name, described, 1)
            hint = f": did you mean {near[0]!r}?" if near else f": there are {', '.join(sorted(described))}"
            raise UnknownMetricError(f"no metric {name!r}{hint}")
        known = {key for each, has in self._read() if each == name for key, _ in has}
        for label in labels:
            if known and label not in known:
                raise UnknownMetricError(f"{name} has no label {label!r}: it has {', '.join(sorted(known))}")


_SUFFIXES = {"counter": ("_total",), "histogram": ("_count", "_sum", "_bucket")}
