"""The metric families of the contract: their documented names, types, help and labels."""

from typing import NamedTuple

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily

from llmmetrics.metrics.names import COST


class FamilyRow(NamedTuple):
    """One family of the contract."""

    name: str
    type: type[Counter | Gauge | Histogram]
    help: str
    labels: tuple[str, ...]


HEALTH = "llm_backend_health"

MULTIPROCESS_MODES = {HEALTH: "mostrecent", "llm_active_requests": "livesum"}
"""How prometheus-client joins a gauge's values of several workers: the most recent, or the sum of the live ones."""

ROWS: dict[str, FamilyRow] = {
    "requests": FamilyRow(
        "llm_requests_total", Counter, "Total number of LLM requests", ("backend", "model", "status")
    ),
    "duration": FamilyRow(
        "llm_request_duration_seconds", Histogram, "LLM request duration in seconds", ("backend", "model")
    ),
    "first_chunk": FamilyRow(
        "llm_time_to_first_chunk_seconds",
        Histogram,
        "Time from the request to a stream's first bytes, in seconds",
        ("backend", "model"),
    ),
    "tokens": FamilyRow("llm_tokens_total", Counter, "Total token usage", ("backend", "model", "token_type")),
    "cost": FamilyRow(COST, Counter, "Estimated cost in USD", ("backend", "model")),
    "errors": FamilyRow("llm_errors_total", Counter, "Total number of LLM errors", ("backend", "error_type")),
    "health": FamilyRow(HEALTH, Gauge, "Backend health (1 = healthy, 0 = unhealthy)", ("backend",)),
    "active": FamilyRow("llm_active_requests", Gauge, "Number of LLM requests in flight", ("backend",)),
    "estimated": FamilyRow(
        "llmmetrics_estimated_tokens_total",
        Counter,
        "Tokens in llm_tokens_total that were estimated, not read",
        ("backend", "model", "token_type"),
    ),
    "without_usage": FamilyRow(
        "llmmetrics_calls_without_usage_total", Counter, "Calls whose usage the wire did not carry", ("reason",)
    ),
    "without_price": FamilyRow(
        "llmmetrics_calls_without_price_total",
        Counter,
        "Calls without a known price",
        ("backend", "model"),
    ),
    "unmetered": FamilyRow(
        "llmmetrics_unmetered_requests_total",
        Counter,
        "Requests that passed through and are not LLM calls",
        ("backend",),
    ),
    "unmetered_connections": FamilyRow(
        "llmmetrics_unmetered_connections_total",
        Counter,
        "Connections to LLM hosts that llmmetrics did not make, so that their calls are not metered",
        ("host",),
    ),
    "unread": FamilyRow("llmmetrics_unread_calls_total", Counter, "Calls whose answer could not be read", ("reason",)),
    "retries": FamilyRow(
        "llmmetrics_retries_total",
        Counter,
        "Attempts that are retries, by their SDK's headers",
        ("backend",),
    ),
    "folded": FamilyRow(
        "llmmetrics_folded_models_total",
        Counter,
        "Calls whose model is counted as `other`, to limit the number of series",
        ("backend",),
    ),
    "refusals": FamilyRow(
        "llmmetrics_budget_refusals_total",
        Counter,
        "Calls that were refused before anything was sent",
        ("backend", "reason"),
    ),
    "shadow_refusals": FamilyRow(
        "llmmetrics_budget_shadow_refusals_total",
        Counter,
        "Calls that mode `shadow` let pass and other modes refuse",
        ("backend", "reason"),
    ),
    "expired": FamilyRow(
        "llmmetrics_reservations_expired_total", Counter, "Reservations whose lease ended before their call", ()
    ),
    "ledger_errors": FamilyRow(
        "llmmetrics_ledger_errors_total", Counter, "Failed operations of the budgets' ledger", ("kind",)
    ),
    "answers": FamilyRow(
        "llmmetrics_answers_total",
        Counter,
        "Answers that came after their call (background answers, runs, batches), by how they ended",
        ("backend", "outcome"),
    ),
    "forgotten_answers": FamilyRow(
        "llmmetrics_forgotten_answers_total",
        Counter,
        "Pending answers that a process without a ledger has forgotten, because there were too many",
        ("backend",),
    ),
    "tagged_cost": FamilyRow(
        "llm_tagged_cost_usd_total", Counter, "Estimated cost in USD by tag", ("key", "value", "backend")
    ),
    "tagged_tokens": FamilyRow(
        "llm_tagged_tokens_total", Counter, "Token usage by tag", ("key", "value", "backend", "token_type")
    ),
    "ignored_tags": FamilyRow(
        "llmmetrics_ignored_tags_total", Counter, "Calls with a tag that is not in Attribution.Keys", ()
    ),
    "outside_runs": FamilyRow(
        "llmmetrics_calls_outside_runs_total", Counter, "Calls of a thread without a run, while a run was open", ()
    ),
    "failovers": FamilyRow(
        "llmmetrics_failovers_total",
        Counter,
        "Backends that a failover passed over, with the one that it tried next",
        ("from", "to", "reason"),
    ),
    "internal": FamilyRow(
        "llmmetrics_internal_errors_total", Counter, "Errors inside llmmetrics that were swallowed", ("where",)
    ),
}


def budget_gauge() -> GaugeMetricFamily:
    """Make the gauge of the spend and limit of each limited backend."""
    return GaugeMetricFamily(
        "llm_backend_budget_usd", "Spend of the current window and its limit, in USD", labels=("backend", "limit_type")
    )


def booked_gauge() -> GaugeMetricFamily:
    """Make the gauge of what the spend of each limited backend consists of."""
    return GaugeMetricFamily(
        "llmmetrics_budget_booked_usd",
        "Spend of the current window in USD, by how sure it is",
        labels=("backend", "basis"),
    )


def window_gauge() -> GaugeMetricFamily:
    """Make the gauge of the start and end of each spend window."""
    return GaugeMetricFamily(
        "llmmetrics_budget_window_timestamp_seconds",
        "Start of the current spend window and of the next one, in seconds since 1970",
        labels=("backend", "edge"),
    )


def pending_gauge() -> GaugeMetricFamily:
    """Make the gauge of the answers that are still to come."""
    return GaugeMetricFamily(
        "llmmetrics_pending_answers", "Answers that were asked for and are still to be fetched", labels=("backend",)
    )


def catalogue_gauge(*versions: str) -> GaugeMetricFamily:
    """Make the gauge of the price catalogue's version."""
    gauge = GaugeMetricFamily(
        "llmmetrics_price_catalog_info", "The price catalogue in use: genai-prices of this version", labels=("version",)
    )
    for each in versions:
        gauge.add_metric([each], 1)
    return gauge
