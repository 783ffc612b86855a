"""What is found in single expressions, and what is not: each row one mistake, or one that only looks like one."""

from __future__ import annotations

import pytest

BUDGET = "llm_backend_budget_usd"
CURRENT, MAX = (f'{BUDGET}{{limit_type="{each}"}}' for each in ("current", "max"))

THEIRS = {
    "llm_cost_total": "llm_estimated_cost_usd",
    "llm_cost_usd_total": "llm_estimated_cost_usd",
    "llm_spend_usd_total": "llm_estimated_cost_usd",
    "llm_request_cost_dollars_sum": "llm_estimated_cost_usd",
    "llm_calls_total": "llm_requests_total",
    "llm_request_count_total": "llm_requests_total",
    "llm_failures_total": "llm_errors_total",
    "llm_request_errors": "llm_errors_total",
    "llm_input_tokens_total": "llm_tokens_total",
    "llm_latency_ms_bucket": "llm_request_duration_seconds_bucket",
    "llm_latency_seconds_count": "llm_request_duration_seconds_count",
    "llm_time_to_first_token_seconds_bucket": "llm_time_to_first_chunk_seconds_bucket",
    "llm_budget_remaining_usd": "llm_backend_budget_usd",
    "llm_inflight_requests": "llm_active_requests",
    "llm_backend_up": "llm_backend_health",
}

WRONG = [
    # names, labels and values that do not exist
    ("rate(llm_request_total[5m])", "error", "did you mean llm_requests_total?"),
    ("rate(llm_estimated_cost_usd_total[5m])", "error", "the cost has no _total"),
    ("rate(llm_request_duration_seconds[5m])", "error", "use llm_request_duration_seconds_bucket"),
    ("llmmetrics_nothing_like_it", "error", "docs/metrics.md"),
    # another tool's name for what is measured here under this one
    *((f"sum({theirs})", "error", f"did you mean {ours}?") for theirs, ours in THEIRS.items()),
    ('rate(llm_requests_total{state="success"}[5m])', "error", "no label 'state'"),
    ('rate(llm_requests_total{error_type="auth"}[5m])', "error", "it has backend, instance, job, model, status"),
    ('rate(llm_errors_total{status!="success"}[5m])', "error", "excludes nothing"),
    ('rate(llm_errors_total{model!~".*"}[5m])', "error", "matches nothing"),
    ('rate(llm_requests_total{status="sucess"}[5m])', "error", "did you mean 'success'?"),
    ('rate(llm_requests_total{status=~"success|error"}[5m])', "error", "never 'error'"),
    ('rate(llm_requests_total{status!="failed"}[5m])', "error", "never 'failed'"),
    ('rate(llm_requests_total{status!~".*"}[5m])', "error", "excludes every status"),
    ('rate(llm_requests_total{status=~"5.."}[5m])', "error", "never '5..'"),
    ('rate(llm_requests_total{status=~"(succes|fail)"}[5m])', "error", "never '(succes|fail)'"),
    ('rate(llm_request_duration_seconds_bucket{le="1"}[5m])', "error", "+Inf, 0.1, 0.25"),
    ('rate({__name__="llm_requests"}[5m])', "error", "did you mean llm_requests_total?"),
    ("sum by (provider) (rate(llm_requests_total[5m]))", "error", "by (provider): rate(llm_requests_total[5m]) has no"),
    ("sum by (job) (sum by (backend) (rate(llm_requests_total[5m])))", "error", "its labels are backend"),
    ("sum by (status) (rate(llm_errors_total[5m]))", "error", "has no such label"),
    # sides that do not match
    (f"{CURRENT} / {MAX}", "error", "limit_type is current on the left, max on the right"),
    (f"{MAX} - {CURRENT}", "error", f"max by (job, backend) ({MAX}) - max by (job, backend)"),
    (f"{CURRENT} >= {MAX}", "error", "the result is empty"),
    (
        "rate(llm_errors_total[5m]) / rate(llm_requests_total[5m])",
        "error",
        "the left has error_type, the right has not",
    ),
    (
        "sum by (backend) (rate(llm_errors_total[5m])) / sum by (job) (rate(llm_requests_total[5m]))",
        "error",
        "the left has backend, the right has not; the right has job",
    ),
    (
        'sum by (backend) (rate(llm_requests_total{backend="a"}[5m])) / sum by (backend) (rate(llm_requests_total{backend="b"}[5m]))',
        "error",
        "backend is a on the left, b on the right",
    ),
    ("llm_backend_health == 0 and sum(rate(llm_errors_total[5m]))", "error", "the two sides of and never match"),
    ("min by (backend) (llm_backend_health) unless min by (job) (llm_active_requests)", "error", "takes nothing away"),
    (f"{MAX} - on (backend) {CURRENT}", "error", "which Prometheus refuses"),
    ("rate(llm_errors_total[5m]) / on (backend) rate(llm_requests_total[5m])", "error", "left side of /"),
    (
        "rate(llm_errors_total[5m]) / on (backend) group_left () rate(llm_requests_total[5m])",
        "error",
        "several series on the right side of /",
    ),
    (
        "sum(rate(llm_errors_total[5m])) / on (vendor) sum(rate(llm_requests_total[5m]))",
        "warning",
        "on (vendor): neither side",
    ),
    # counters, gauges, buckets
    ("sum by (backend) (llm_estimated_cost_usd)", "warning", "first increase(llm_estimated_cost_usd[1h])"),
    ("llm_requests_total", "warning", "restarts at 0 with the process"),
    ("llmmetrics_internal_errors_total > 0", "warning", "used without rate()"),
    ("rate(sum(llm_requests_total)[5m:])", "warning", "used without rate()"),
    ("max_over_time(llm_requests_total[1h])", "warning", "used without rate()"),
    ("llm_requests_total - llm_requests_total offset 1h", "warning", "used without rate()"),
    ("delta(llm_estimated_cost_usd[1h])", "warning", "delta() is for gauges"),
    ("rate(llm_active_requests[5m])", "error", "llm_active_requests is a gauge"),
    ("histogram_quantile(0.95, rate(llm_request_duration_seconds_bucket[5m]))", "warning", "sum by (le, backend)"),
    (
        "histogram_quantile(0.95, sum by (backend) (rate(llm_request_duration_seconds_bucket[5m])))",
        "error",
        "sum without `le`",
    ),
    ("histogram_quantile(0.95, rate(llm_request_duration_seconds_sum[5m]))", "error", "needs the label le"),
    ("histogram_quantile(0.9, sum by (le) (llm_request_duration_seconds_bucket))", "warning", "without rate()"),
    # what is counted twice
    ("sum(rate(llm_tokens_total[5m]))", "error", 'choose with {token_type!="total"}'),
    ("sum by (backend) (increase(llm_tokens_total[1h]))", "error", "counts tokens twice"),
    ('sum(rate(llm_tokens_total{token_type!="prompt"}[5m]))', "error", "counts tokens twice"),
    ("sum without (token_type) (rate(llm_tokens_total[5m]))", "error", "counts tokens twice"),
    ("sum(llm_backend_health)", "warning", "sum(min by (job, backend) (llm_backend_health))"),
    ("sum(llm_backend_health == 1)", "warning", "counts instances, not backends"),
    ("count(llm_backend_health == 0)", "warning", "counts instances, not backends"),
    ("sum without (instance) (llm_backend_health)", "warning", "counts instances, not backends"),
    (f"sum by (backend) ({MAX})", "warning", f"sum(max by (job, backend) ({MAX}))"),
    # comparisons
    ("llm_backend_health > 1", "error", "> 1 never holds: the values are from 0 to 1"),
    ("2 == llm_backend_health", "error", "== 2 never holds"),
    (
        "histogram_quantile(0.95, sum by (le) (rate(llm_request_duration_seconds_bucket[5m]))) > 60",
        "error",
        "a quantile is never above the last bucket's bound",
    ),
    (
        "100 < sum(rate(llm_requests_total[5m])) / sum(rate(llm_requests_total[5m]))",
        "error",
        "a ratio is compared to 100",
    ),
    # what no Prometheus reads
    ("max_over_time(sum(llm_active_requests)[1h])", "error", "write a subquery, as in (…)[1h:15s]"),
    ("rate(llm_requests_total)", "error", "give the metric a range"),
    ("sum(rate(llm_requests_total[5m])", "error", "a parse error"),
    ("llm_backend_health offset NaN", "error", "a parse error"),
    (f"{'(' * 1000}up{')' * 1000}", "error", "nested too deeply"),
    ('label_replace(llm_backend_health, "instance", "one", "", "")', "error", "gives several series the same labels"),
]


@pytest.mark.parametrize(("expression", "level", "words"), WRONG, ids=[each[0][:80] for each in WRONG])
def test_wrong(found, expression, level, words):
    (line,) = found(expression)
    assert line.startswith(f"{level} ")
    assert words in line
    assert " -- " in line, "it says what to write instead"


ERRORS = "sum by (job, backend) (rate(llm_errors_total[5m]))"
REQUESTS = "sum by (job, backend) (rate(llm_requests_total[5m]))"
RIGHT = [
    f"{ERRORS} / {REQUESTS} > 0.05",
    f"{ERRORS} / ({REQUESTS} > 0) * 100 > 5",
    f"max by (job, backend) ({CURRENT}) / max by (job, backend) ({MAX}) > 0.9",
    f"{CURRENT} / ignoring (limit_type) {MAX}",
    f"{CURRENT} / on (job, instance, backend) {MAX}",
    f"sum(max by (job, backend) ({MAX}))",
    f"sum by (instance) ({MAX})",
    'sum(llm_backend_budget_usd{limit_type="max",instance="10.1.1.1:80"})',
    f"rate({CURRENT}[1h])",
    f"predict_linear({CURRENT}[1h], 3600) > 10",
    "sum by (backend, error_type) (rate(llm_errors_total[5m])) / on (backend) group_left () sum by (backend) (rate(llm_requests_total[5m]))",
    "sum(min by (backend) (llm_backend_health))",
    "count(min by (backend) (llm_backend_health) == 0)",
    "count(count by (backend) (llm_backend_health))",
    "avg by (backend) (llm_backend_health) < 1",
    "sum(llm_active_requests)",
    "max_over_time(sum(llm_active_requests)[1h:15s])",
    "histogram_quantile(0.95, sum by (le, backend) (rate(llm_request_duration_seconds_bucket[5m]))) > 30",
    "rate(llm_request_duration_seconds_sum[5m]) / rate(llm_request_duration_seconds_count[5m])",
    'sum(rate(llm_request_duration_seconds_bucket{le="2.5"}[5m])) / sum(rate(llm_request_duration_seconds_count[5m]))',
    'sum(rate(llm_tokens_total{token_type="total"}[5m]))',
    'sum by (token_type) (rate(llm_tokens_total{token_type=~"prompt|completion"}[5m]))',
    "sum by (token_type) (rate(llm_tokens_total[5m]))",
    "max by (backend) (rate(llm_tokens_total[5m]))",
    'rate(llm_requests_total{status=~"fail.*|timeout"}[5m])',
    'rate(llm_requests_total{status!=""}[5m])',
    'rate(llm_errors_total{model="",status=~".*"}[5m])',
    'rate(llm_requests_total{env="prod",namespace!="",cluster=~".+",model=~"gpt.*"}[5m])',
    "sum by (namespace, pod) (rate(llm_requests_total[5m]))",
    "count by (backend) (llm_requests_total)",
    "absent(llm_requests_total)",
    "changes(llm_requests_total[1h]) == 0",
    "sum((llm_errors_total unless llm_errors_total offset 1h) or increase(llm_errors_total[1h]))",
    "topk(3, sum by (model) (increase(llm_estimated_cost_usd[1d])))",
    'label_replace(rate(llm_requests_total[5m]), "vendor", "$1", "backend", "([a-z]+).*") * 60',
    'sum by (vendor) (label_replace(rate(llm_requests_total[5m]), "vendor", "$1", "backend", "([a-z]+).*"))',
    "sum(rate(llm_requests_total[5m])) or vector(0)",
    'label_replace(llm_backend_health, "backend", "gpt", "backend", "openai-.*")',
    'label_replace(llm_backend_health, "vendor", "$1-$2", "backend", "(.)(.*)")',
    'sum by (both) (label_join(rate(llm_requests_total[5m]), "both", "/", "backend", "model"))',
    "sum(rate(llm_requests_total[5m]) + fill(0) rate(llm_errors_total[5m]))",
    '{job="a"}',
    "sum(rate(llm_requests_total[5m])) > 2 * sum(rate(llm_requests_total[5m] offset 1d))",
    "sum(rate(llm_requests_total[5m])) / sum(rate(llm_requests_total[5m] offset 1d)) > 3",
    "min by (backend) (llm_backend_health) == 0 unless on (backend) max by (backend) (llm_backend_budget_usd) > 5",
    "rate(llm_requests_total[5m]) and on () hour() > 8",
    "scalar(sum(rate(llm_requests_total[5m]))) * 2 + time() - 1",
    "-sum(rate(llm_requests_total[5m]))",
    # other programs' metrics, which may share nothing but a label with ours
    "node_cpu_seconds_total",
    "sum by (whatever) (node_cpu_seconds_total) / ignoring (whatever) up",
    "sum by (job) (rate(llm_requests_total[5m])) / on (job) sum by (job) (up)",
    '{__name__=~"llm_.*"}',
    "litellm_requests_total",
    "1 + 1",
    "vector(1) > 2",
]


@pytest.mark.parametrize("expression", RIGHT)
def test_right(found, expression):
    assert found(expression) == []
