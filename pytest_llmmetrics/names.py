"""What can be asked of the series: a misspelt name must not pass for a 0."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches

from llmmetrics.testing.harness import FAMILIES, meters
from pytest_llmmetrics.series import Snapshot


class UnknownMetricError(AssertionError):
    """A metric, label or label value that cannot exist."""


def require(name: str, labels: Mapping[str, str], series: Snapshot) -> None:
    """Raises `UnknownMetricError` for what no meter and no series can have."""
    known = {sample: family for family in FAMILIES.values() for sample in family.samples}
    if name in known:
        allowed = known[name].sample_labels(name)
        values: Mapping[str, Collection[str]] = {**known[name].values, "backend": _backends(series)}
    else:
        # a metric of the user's own, beside ours
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
    """The backends that are configured, and those that have been counted."""
    known = {name for meter in meters() for name in meter.names()}
    return known | PROVIDERS | {value for each in series for label, value in each.labels if label == "backend"}


PROVIDERS = frozenset(
    {"openai", "azure", "anthropic", "google", "google-vertex", "cohere", "groq", "mistral", "ollama"}
)
"""What traffic that no backend claims is labelled with, most often; the rest is known once it is counted."""


def nearest(value: str, known: Collection[str]) -> str:
    """The name that was meant, else all that there are."""
    near = get_close_matches(value, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}"
