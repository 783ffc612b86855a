"""The dashboard's PromQL."""

from __future__ import annotations

JOBS = 'job=~"$job"'
BACKENDS = f'{JOBS}, backend=~"$backend"'
MODELS = f'{BACKENDS}, model=~"$model"'

# without `total`, which is prompt + completion: it would count everything twice
PARTS = f'{MODELS}, token_type!="total"'

# instances that share a ledger export the same spend: take the maximum, never the sum
SPENT, LIMIT = (
    f'max by (job, backend) (llm_backend_budget_usd{{{BACKENDS}, limit_type="{each}"}})' for each in ("current", "max")
)
# the pace of the maximum, not the maximum of all paces: an instance that has just started has no pace
PACE = f"({SPENT})[1h:15s]"


def rate(name: str, labels: str, by: str = "") -> str:
    """Return the rate per second, at each step of a graph."""
    return f"{_sum(by)}(rate({name}{{{labels}}}[$__rate_interval]))"


def increase(name: str, labels: str, by: str = "", over: str = "$__range") -> str:
    """Return the increase in a time; restarts do not matter."""
    return f"{_sum(by)}(increase({name}{{{labels}}}[{over}]))"


def grown(name: str, labels: str, by: str = "") -> str:
    """Return the increase in the range of a counter whose first value is not 0: `increase()` misses the first event."""
    series = f"{name}{{{labels}}}"
    return f"{_sum(by)}(({series} unless {series} offset $__range) or increase({series}[$__range]))"


def positive(name: str, labels: str, by: str) -> str:
    """Return the increase in each step of a graph, without zeros."""
    return f"{increase(name, labels, by, '$__rate_interval')} > 0"


def _sum(by: str) -> str:
    return f"sum by ({by}) " if by else "sum"


def share(part: str, whole: str) -> str:
    """Return a ratio; no value if the denominator is 0."""
    return f"{part}\n/\n({whole} > 0)"


def quantile(q: float, name: str, by: str = "") -> str:
    """Return a quantile of a histogram; no value without observations."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, {rate(f'{name}_bucket', MODELS, labels)}) >= 0"


REQUESTS, COST, ERRORS = "llm_requests_total", "llm_estimated_cost_usd", "llm_errors_total"
DURATION, FIRST_CHUNK = "llm_request_duration_seconds", "llm_time_to_first_chunk_seconds"
TOKENS, ESTIMATED = "llm_tokens_total", "llmmetrics_estimated_tokens_total"

SUCCESS_RATIO = share(rate(REQUESTS, f'{MODELS}, status="success"'), rate(REQUESTS, MODELS))

# errors have no label `model`, so they are divided by the requests of all models
ERROR_RATIO_BY_TYPE = f"{rate(ERRORS, BACKENDS, 'error_type')}\n/ on () group_left ()\n({rate(REQUESTS, BACKENDS)} > 0)"
ERROR_RATIO_BY_BACKEND = share(rate(ERRORS, BACKENDS, "backend"), rate(REQUESTS, BACKENDS, "backend"))

# the cost of each step, summed from the left edge of the graph
COST_SO_FAR = f"""sum_over_time((
  {rate(COST, MODELS, "backend")}
  and on () vector(time()) > $__from / 1000
)[$__range:$__interval]) * $__interval_ms / 1000"""

RETRY_RATIO = share(rate("llmmetrics_retries_total", BACKENDS, "backend"), rate(REQUESTS, BACKENDS, "backend"))

# the worst health that any instance reports
HEALTH = f"min by (backend) (llm_backend_health{{{BACKENDS}}})"
UNHEALTHY = f"count({HEALTH}) - sum({HEALTH})"
ACTIVE = f"sum by (backend) (llm_active_requests{{{BACKENDS}}})"
PEAK = f"max_over_time(sum(llm_active_requests{{{BACKENDS}}})[1h:15s])"

LEFT = f"{LIMIT}\n- {SPENT}"
# 0 for an exhausted budget, no value for a budget without spend
TIME_LEFT = f"""0 * ({SPENT} >= {LIMIT})
or
({LEFT})
/
((predict_linear({PACE}, 3600) - predict_linear({PACE}, 0)) / 3600 > 0)"""
IN_AN_HOUR = f"predict_linear({PACE}, 3600)"

# Grafana's dates are in milliseconds
NEXT_WINDOW = f'max by (job, backend) (llmmetrics_budget_window_timestamp_seconds{{{BACKENDS}, edge="end"}}) * 1000'

REFUSALS, SHADOW = "llmmetrics_budget_refusals_total", "llmmetrics_budget_shadow_refusals_total"

ESTIMATED_SHARE = f"({grown(ESTIMATED, PARTS)} or 0 * {increase(TOKENS, PARTS)})\n/\n({increase(TOKENS, PARTS)} > 0)"
UNPRICED = "llmmetrics_calls_without_price_total"
UNPRICED_SHARE = (
    f"({grown(UNPRICED, MODELS)} or 0 * {increase(REQUESTS, MODELS)})\n/\n({increase(REQUESTS, MODELS)} > 0)"
)

CATALOG = f"max by (version) (llmmetrics_price_catalog_info{{{JOBS}}})"

# jobs that had our metrics in the range: a job that is down has none now
UP = f"(up{{{JOBS}}} and on (job) last_over_time(llm_backend_health{{{JOBS}}}[$__range]))"
DOWN = f"count({UP}) - sum({UP})"

# an alert about a whole job has no backend
FIRING = f'ALERTS{{{JOBS}, backend=~"$backend|", alertname=~".*LLM.*", alertstate="firing"}}'
