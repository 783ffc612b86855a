"""The simulated traffic: the series that two instances of a metered application export to Prometheus.

All names come from the runtime's own tables, so they equal what a meter exports.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import product
from math import inf

from llmmetrics.metrics.definitions import MULTIPROCESS_MODES
from llmmetrics.metrics.names import COST
from llmmetrics.settings.model import Telemetry
from llmmetrics.testing.contract.families import FAMILIES, Family

Labels = frozenset[tuple[str, str]]
"""The labels of one series."""

BOUNDS = (*Telemetry().duration_buckets, inf)

BUCKETS = tuple("+Inf" if each == inf else str(float(each)) for each in BOUNDS)
"""The values of `le` as the exposition writes them: `1.0`, not `1`."""

SAMPLES: Mapping[str, Family] = {sample: family for family in FAMILIES.values() for sample in family.samples}
"""Every sample name of the contract."""

OURS = frozenset(label for sample, family in SAMPLES.items() for label in family.sample_labels(sample))
"""Every label of the contract."""

REPEATED = frozenset(
    name for name, each in FAMILIES.items() if each.type == "gauge" and MULTIPROCESS_MODES.get(name) != "livesum"
)
"""Gauges with the same value in every instance: a state, or a shared ledger's amounts. They must not be added."""

INSTANCES = ("10.0.0.1:5000", "10.0.0.2:5000")
JOB = "llm-backend"

_MODELS: Mapping[str, tuple[str, ...]] = {
    "openai-primary": ("gpt-4o", "gpt-4o-mini"),
    "anthropic-claude": ("claude-sonnet-4-5",),
    "local-ollama": ("llama3.2",),
}
_LIMITED = ("openai-primary", "anthropic-claude")
"""Backends with a budget and a known price."""


def values(sample: str, label: str) -> frozenset[str] | None:
    """Return the possible values of a sample's label; None: any value."""
    return frozenset(BUCKETS) if label == "le" else SAMPLES[sample].values.get(label)


def _of_backend(name: str, labels: tuple[str, ...]) -> Iterable[dict[str, str]]:
    if "backend" not in labels:
        return ({},)
    limited = name == COST or "_budget_" in name
    pairs = [(backend, model) for backend in (_LIMITED if limited else _MODELS) for model in _MODELS[backend]]
    if "model" in labels:
        return ({"backend": backend, "model": model} for backend, model in pairs)
    return ({"backend": backend} for backend in dict.fromkeys(backend for backend, _ in pairs))


@cache
def series(sample: str, targets: frozenset[str]) -> frozenset[Labels]:
    """Return the series of a sample, with the target labels that scraping adds; their values differ by instance."""
    return frozenset(_series(sample, targets))


def _series(sample: str, targets: frozenset[str]) -> Iterator[Labels]:
    labels = SAMPLES[sample].sample_labels(sample)
    others = [each for each in labels if each not in ("backend", "model")]
    # a label with open values, such as a reason: two values stand for all
    choices = [sorted(values(sample, each) or ("one", "two")) for each in others]
    for instance, backend, chosen in product(INSTANCES, _of_backend(sample, labels), product(*choices)):
        added = {each: f"{each} of {instance}" for each in targets}
        own = backend | dict(zip(others, chosen, strict=True))
        yield frozenset((added | {"job": JOB, "instance": instance} | own).items())
