"""The dashboard's rows: the panels, their widths of 24, their units and queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import queries as q
from parts import ALARM, BLUE, GREEN, GREY, ORANGE, RED, dashed, gauges, graph, heat, number, pie, query, states

USD, PER_SECOND, TOKENS, RATIO, COUNT = "currencyUSD", "reqps", "suffix: tok/s", "percentunit", "short"

SUCCESS = ((None, RED), (0.95, ORANGE), (0.99, GREEN))
SECONDS = ((None, GREEN), (10, ORANGE), (30, RED))
ESTIMATED = ((None, GREEN), (0.05, ORANGE), (0.2, RED))
UNPRICED = ((None, GREEN), (1e-9, ORANGE), (0.05, RED))
USED = ((None, GREEN), (0.8, ORANGE), (0.9, "dark-orange"), (1, RED))
LEFT = ((None, RED), (1e-9, GREEN))
TIME = ((None, RED), (3600, ORANGE), (6 * 3600, GREEN))
UP = ((None, RED), (1, GREEN))

STATUS = {"success": GREEN, "failure": RED, "timeout": ORANGE, "cancelled": GREY}
TOKEN = {"prompt": BLUE, "completion": "purple"}
ERROR = {
    "api_error": RED,
    "timeout": ORANGE,
    "rate_limit": "yellow",
    "auth": "purple",
    "network": BLUE,
    "unknown": GREY,
}
HEALTH = {"0": ("unhealthy", RED), "1": ("healthy", GREEN)}

NO_LIMIT = "no backend has a limit"
NO_TAGS = "no call has tags"
TAG = "{{key}}={{value}}"


def line(red: float) -> Sequence[tuple[float | None, str]]:
    """Draw a dashed line across a graph."""
    return ((None, "transparent"), (red, RED))


def key_metrics() -> Sequence[Any]:
    """Make the first row of the specification: the state in four numbers."""
    total, cost = (query(q.increase(name, q.MODELS, over="24h"), instant=True) for name in (q.REQUESTS, q.COST))
    return (
        number("Total requests (24h)", 6, COUNT, total, decimals=0),
        number("Success rate", 6, RATIO, query(q.SUCCESS_RATIO), steps=SUCCESS, decimals=1),
        number("Latency (P95)", 6, "s", query(q.quantile(0.95, q.DURATION)), steps=SECONDS),
        number("Estimated cost (24h)", 6, USD, cost),
    )


def requests() -> Sequence[Any]:
    """Make the second row of the specification, with graphs that tell a slow provider from a failing one."""
    by_backend, by_status = (query(q.rate(q.REQUESTS, q.MODELS, by), f"{{{{{by}}}}}") for by in ("backend", "status"))
    share = query(q.increase(q.REQUESTS, q.MODELS, "backend"), "{{backend}}", instant=True)
    buckets = query(q.increase(f"{q.DURATION}_bucket", q.MODELS, "le", "$__rate_interval"), "{{le}}", heat=True)
    latency, first = (query(q.quantile(0.95, name, "backend"), "{{backend}}") for name in (q.DURATION, q.FIRST_CHUNK))
    return (
        graph("Request rate", 9, PER_SECOND, by_backend),
        pie("Requests by backend", 5, COUNT, share),
        heat("Request duration", 10, "s", buckets),
        graph("Requests by status", 8, PER_SECOND, by_status, stacked=True, colors=STATUS),
        graph("P95 latency", 8, "s", latency, steps=line(30)),
        graph("Time to first chunk (P95)", 8, "s", first),
    )


def tokens_and_cost() -> Sequence[Any]:
    """Make the third row of the specification, with the cost by model and a forecast."""
    tokens = query(q.rate(q.TOKENS, q.PARTS, "token_type"), "{{token_type}}")
    hour = query(q.increase(q.COST, q.MODELS, "backend", "1h"), "{{backend}}")
    so_far = query(q.COST_SO_FAR, "{{backend}}")
    by_model = query(q.increase(q.COST, q.MODELS, "backend, model"), "{{backend}} {{model}}", instant=True)
    by_tag = query(q.increase("llm_tagged_cost_usd_total", q.BACKENDS, "key, value"), TAG, instant=True)
    tokens_by_tag = query(
        q.positive("llm_tagged_tokens_total", f'{q.BACKENDS}, token_type!="total"', "key, value"), TAG
    )
    forecast = query(f"{q.increase(q.COST, q.MODELS, over='1h')} * 24")
    return (
        graph("Tokens per second", 8, TOKENS, tokens, stacked=True, colors=TOKEN),
        graph("Cost per hour", 8, USD, hour, stacked=True),
        # a step must be several scrapes long
        graph("Cumulative cost", 8, USD, so_far, stacked=True, calcs=("lastNotNull",)).interval("1m"),
        gauges("Cost by backend and model", 12, USD, by_model),
        number("Cost of the range", 6, USD, query(q.increase(q.COST, q.MODELS), instant=True), height=8),
        number("Daily cost forecast", 6, USD, forecast, height=8),
        gauges("Cost by tag", 14, USD, by_tag, nothing=NO_TAGS),
        graph("Tokens by tag", 10, COUNT, tokens_by_tag, bars=True, nothing=NO_TAGS),
    )


def errors_and_health() -> Sequence[Any]:
    """Make the fourth row of the specification, with the same by backend."""
    peak = "most in an hour"
    healthy = (query(f"sum({q.HEALTH})", "healthy"), query(q.UNHEALTHY, "unhealthy"))
    by_type = query(q.ERROR_RATIO_BY_TYPE, "{{error_type}}")
    active = (query(q.ACTIVE, "{{backend}}"), query(q.PEAK, peak))
    answers = (
        query(q.positive("llmmetrics_answers_total", q.BACKENDS, "backend, outcome"), "{{backend}} {{outcome}}"),
        query(f"max by (job, backend) (llmmetrics_pending_answers{{{q.BACKENDS}}})", "{{backend}} ({{job}}) pending"),
    )
    failovers = query(
        q.positive("llmmetrics_failovers_total", q.JOBS, "from, to, reason"), "{{from}} → {{to}}: {{reason}}"
    )
    return (
        graph("Error rate", 8, RATIO, by_type, stacked=True, colors=ERROR),
        states("Backend health", 8, query(q.HEALTH, "{{backend}}"), HEALTH),
        graph("Active requests", 8, COUNT, *active, colors={peak: GREY}),
        graph("Error rate by backend", 9, RATIO, query(q.ERROR_RATIO_BY_BACKEND, "{{backend}}"), steps=line(0.05)),
        graph("Retries", 9, RATIO, query(q.RETRY_RATIO, "{{backend}}"), steps=line(0.2)),
        number("Healthy backends", 6, COUNT, *healthy, steps=UP, height=8, decimals=0, alarm="unhealthy"),
        graph("Failovers", 12, COUNT, failovers, bars=True, nothing="none"),
        graph("Answers that came later", 12, COUNT, *answers, nothing="none"),
    )


def budgets() -> Sequence[Any]:
    """Make the row of budgets: what is left, how long it lasts, and the refused calls."""
    named = "{{backend}} ({{job}})"
    used, left, time = (query(each, named, instant=True) for each in (q.share(q.SPENT, q.LIMIT), q.LEFT, q.TIME_LEFT))
    window = query(q.NEXT_WINDOW, named, instant=True)
    amounts = {"spent": q.SPENT, "in an hour": q.IN_AN_HOUR, "limit": q.LIMIT}
    lines = (query(each, f"{named} {what}") for what, each in amounts.items())
    refused, shadow = (
        query(q.positive(name, q.BACKENDS, "backend, reason"), f"{{{{backend}}}} {{{{reason}}}}{end}")
        for name, end in ((q.REFUSALS, ""), (q.SHADOW, " (shadow)"))
    )
    booked = query(
        f"max by (job, backend, basis) (llmmetrics_budget_booked_usd{{{q.BACKENDS}}})", f"{named} {{{{basis}}}}"
    )
    spend = graph("Spend and limit", 14, USD, *lines, calcs=("lastNotNull",), nothing=NO_LIMIT)
    return (
        gauges("Budget used", 8, RATIO, used, steps=USED, top=1, nothing=NO_LIMIT),
        number("Budget left", 5, USD, left, steps=LEFT, height=8, nothing=NO_LIMIT),
        number("Time to exhaustion", 6, "s", time, steps=TIME, height=8, nothing="not being spent"),
        number("Next window", 5, "dateTimeFromNow", window, height=8, nothing="never"),
        dashed(spend, "(limit|in an hour)$"),
        graph("Refused calls", 10, COUNT, refused, shadow, bars=True, nothing="none"),
        graph("Spend by how sure it is", 24, USD, booked, stacked=True, nothing=NO_LIMIT),
    )


def meter() -> Sequence[Any]:
    """Make the row about the meter itself: how reliable the rows above are."""
    up = (query(f"sum({q.UP})", "up"), query(q.DOWN, "down"))
    estimated, unpriced = (query(each, instant=True) for each in (q.ESTIMATED_SHARE, q.UNPRICED_SHARE))
    never = {
        "Answers not read": ("llmmetrics_unread_calls_total", "reason", "not read: {{reason}}"),
        "Ledger errors": ("llmmetrics_ledger_errors_total", "kind", "ledger: {{kind}}"),
        "Internal errors": ("llmmetrics_internal_errors_total", "where", "internal: {{where}}"),
    }
    numbers = (
        number(title, 4, COUNT, query(q.grown(name, q.JOBS), instant=True), steps=ALARM, nothing="none", decimals=0)
        for title, (name, _, _) in never.items()
    )
    usage = query(q.positive("llmmetrics_calls_without_usage_total", q.JOBS, "reason"), "{{reason}}")
    catalog = query(q.CATALOG, "{{version}}", instant=True)
    expired = ("llmmetrics_reservations_expired_total", "job", "reservations expired")
    wrong = (query(q.positive(name, q.JOBS, by), legend) for name, by, legend in (*never.values(), expired))
    elsewhere = (
        query(q.positive(name, q.BACKENDS, "backend"), f"{{{{backend}}}} {what}")
        for name, what in (
            ("llmmetrics_unmetered_requests_total", "no LLM call"),
            ("llmmetrics_folded_models_total", "model other"),
            ("llmmetrics_forgotten_answers_total", "pending answer forgotten"),
        )
    )
    outside = query(q.positive("llmmetrics_calls_outside_runs_total", q.JOBS, "job"), "outside a run")
    ignored = query(q.positive("llmmetrics_ignored_tags_total", q.JOBS, "job"), "a tag is not counted")
    connections = query(q.positive("llmmetrics_unmetered_connections_total", q.JOBS, "host"), "unmetered: {{host}}")
    return (
        number("Processes scraped", 4, COUNT, *up, steps=UP, decimals=0, alarm="down"),
        number("Estimated tokens", 4, RATIO, estimated, steps=ESTIMATED, decimals=1),
        number("Requests without a price", 4, RATIO, unpriced, steps=UNPRICED, decimals=1),
        *numbers,
        graph("Calls without usage", 7, COUNT, usage, bars=True, nothing="none"),
        graph("What went wrong in the meter", 7, COUNT, *wrong, bars=True, nothing="none"),
        graph("Counted elsewhere", 6, COUNT, *elsewhere, outside, ignored, connections, bars=True, nothing="none"),
        number("Price catalogue", 4, COUNT, catalog, height=8, decimals=0, name=True),
    )


ROWS = {
    "Key metrics": key_metrics,
    "Requests": requests,
    "Tokens and cost": tokens_and_cost,
    "Errors and health": errors_and_health,
    "Budgets": budgets,
    "The meter's own health": meter,
}
"""The rows, from top to bottom."""
