"""Reads a registry's samples."""

from __future__ import annotations

from prometheus_client import CollectorRegistry


def samples(registry: CollectorRegistry, name: str, **labels: str) -> list[float]:
    """Return the values of the samples of this name that have these labels."""
    return [
        sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
