"""Checks metric names, labels and label values: a misspelt name must not read as 0."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches

from llmmetrics.testing.harness import FAMILIES, meters
from pytest_llmmetrics.series import Snapshot


class UnknownMetricError(AssertionError):
    """A metric, label or label value that cannot exist."""


def require(name: str, labels: Mapping[str, str], series: Snapshot) -> None:
    """Check a metric name and its labels. Raises `UnknownMetricError` for one that cannot exist."""
    known = {sample: family for family in FAMILIES.values() for sample in family.samples}
    if name in known:
        allowed = known[name].sample_labels(name)
        values: Mapping[str, Collection[str]] = {**known[name].values, "backend": _backends(series)}
    else:
        # a metric of the user's own in the same registry
        has = [dict(each.labels) for each in series if each.name == name]
        if not has:
            raise UnknownMetricError(f"no metric {name!r}: {nearest(name, {*known, *(each.name for each in series)})}")
        allowed, values = tuple(has[0]), {}
    for label, value in labels.items():
        if label not in allowed:
            raise UnknownMetricError(f"{name} has no label {label!r}: it has {', '.join(allowed) or 'none'}")
        if label in values and value not in values[label]:
            raise UnknownMetricError(f"{name} cannot have {label}={value!r}: {nearest(value, values[label])}")


def _backends(series: Snapshot) -> set[str]:
    """Return the configured backends, and those that have series."""
    known = {name for meter in meters() for name in meter.names()}
    return known | PROVIDERS | {value for each in series for label, value in each.labels if label == "backend"}


PROVIDERS = frozenset(
    {"openai", "azure", "anthropic", "google", "google-vertex", "cohere", "groq", "mistral", "ollama"}
)
"""The usual labels of traffic without a configured backend; others are known once they are counted."""


def nearest(value: str, known: Collection[str]) -> str:
    """Suggest the most similar name, or list all known names."""
    near = get_close_matches(value, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}"
