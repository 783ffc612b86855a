"""Keeps the documented names, which prometheus-client would change: `llm_estimated_cost_usd` has no `_total`."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, cast

from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

log = logging.getLogger("llmmetrics")

COST = "llm_estimated_cost_usd"


class _ExactName(str):
    """A counter's name that does not change when an exposition adds `_total`."""

    __slots__ = ()

    def __add__(self, suffix: str) -> str:
        return self if suffix == "_total" else str(self) + suffix


def exact(metric: Metric) -> Metric:
    """Give a family its documented name, and drop its `_created` samples."""
    if metric.name.startswith("llm"):
        metric.samples = [each for each in metric.samples if not each.name.endswith("_created")]
    if metric.name == COST:
        metric.name = _ExactName(COST)
        metric.samples = [each._replace(name=COST) for each in metric.samples]
    return metric


def check_exposition() -> None:
    """Warn if this version of prometheus-client would print the cost under another name."""
    metric = Metric(COST, "probe", "counter")
    metric.samples = [Sample(COST, {}, 1.0)]
    text = generate_latest(cast("Any", SimpleNamespace(collect=lambda: [exact(metric)])))
    if f"{COST}_total".encode() in text:
        log.error(
            "this version of prometheus-client prints %s_total instead of %s: serve meter.asgi_app() instead",
            COST,
            COST,
        )
