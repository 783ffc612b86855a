"""Counts what most calls do not have: retries, errors, estimates, changes of health."""

from __future__ import annotations

from llmmetrics.core.call import Call
from llmmetrics.core.health import BackendHealth, verdict
from llmmetrics.metrics.batching import TOKEN_TYPES
from llmmetrics.metrics.registry import CallSeries, Families
from llmmetrics.reading.error_types import is_pool_timeout
from llmmetrics.reading.outcome import Outcome


def unusual(
    families: Families,
    health: BackendHealth,
    call: Call,
    outcome: Outcome,
    duration: float,
    exception: BaseException | None,
) -> None:
    """Count the rare events of a call. `health` is its backend's; `duration` is in seconds."""
    series = call.series
    if call.retry:
        families["retries"].labels(series.backend).inc()
    if outcome.error is not None:
        families["errors"].labels(series.backend, outcome.error.value).inc()
    if not outcome.known:
        _estimated(families, series, outcome)
    if outcome.unread:
        families["unread"].labels(outcome.unread).inc()
    says = verdict(outcome.status, outcome.error, call.http_status, pool=is_pool_timeout(exception))
    if says is not None and health.record(says, call.started, call.started + duration):
        families["health"].labels(series.backend).set(health.up)


def _estimated(families: Families, series: CallSeries, outcome: Outcome) -> None:
    families["without_usage"].labels(outcome.reason).inc()
    if (usage := outcome.usage) is not None:
        for name, n in zip(TOKEN_TYPES, (usage.prompt, usage.completion, usage.total), strict=True):
            families["estimated"].labels(series.backend, series.model, name).inc(n)
