"""What the dashboard's expressions come to for series whose truth is known, as promtool works it out."""

from __future__ import annotations

import subprocess

import pytest
import yaml
from support.dashboard import expressions, filled
from support.servers import program

A, B = 'job="app", instance="a", backend="openai"', 'job="app", instance="b", backend="openai"'
MODEL = 'model="gpt"'

# an hour, a sample a minute; instance b has restarted at half past, as every counter of it shows
SERIES = {
    f'llm_requests_total{{{A}, {MODEL}, status="success"}}': "0+6x60",
    f'llm_requests_total{{{B}, {MODEL}, status="success"}}': "0+3x30 0+3x29",
    f'llm_requests_total{{{A}, {MODEL}, status="failure"}}': "0+3x60",
    f'llm_requests_total{{{A}, {MODEL}, status="cancelled"}}': "0x60",
    f'llm_errors_total{{{A}, error_type="auth"}}': "0+2x60",
    f'llm_errors_total{{{A}, error_type="timeout"}}': "0+1x60",
    f'llm_tokens_total{{{A}, {MODEL}, token_type="prompt"}}': "0+60x60",
    f'llm_tokens_total{{{A}, {MODEL}, token_type="completion"}}': "0+30x60",
    f'llm_tokens_total{{{A}, {MODEL}, token_type="total"}}': "0+90x60",
    f"llm_estimated_cost_usd{{{A}, {MODEL}}}": "0+0.25x60",
    f"llm_estimated_cost_usd{{{B}, {MODEL}}}": "0+0.25x30 0+0.25x29",
    f'llm_request_duration_seconds_bucket{{{A}, {MODEL}, le="1.0"}}': "0+90x60",
    f'llm_request_duration_seconds_bucket{{{A}, {MODEL}, le="2.5"}}': "0+100x60",
    f'llm_request_duration_seconds_bucket{{{A}, {MODEL}, le="+Inf"}}': "0+100x60",
    f"llm_active_requests{{{A}}}": "0x20 3x10 1x40",
    f"llm_active_requests{{{B}}}": "2x60",
    f"llm_backend_health{{{A}}}": "1x60",
    f"llm_backend_health{{{B}}}": "1x50 0x10",
    'llm_backend_health{job="app", instance="a", backend="gemini"}': "1x60",
    # one ledger: both instances tell of its spend, b a minute late
    f'llm_backend_budget_usd{{{A}, limit_type="current"}}': "0+0.0625x60",
    f'llm_backend_budget_usd{{{B}, limit_type="current"}}': "0 0+0.0625x59",
    f'llm_backend_budget_usd{{{A}, limit_type="max"}}': "10x60",
    f'llm_backend_budget_usd{{{B}, limit_type="max"}}': "10x60",
    'llm_backend_budget_usd{job="app", instance="a", backend="spent", limit_type="current"}': "12x60",
    'llm_backend_budget_usd{job="app", instance="a", backend="spent", limit_type="max"}': "10x60",
    'llm_backend_budget_usd{job="app", instance="a", backend="idle", limit_type="current"}': "1x60",
    'llm_backend_budget_usd{job="app", instance="a", backend="idle", limit_type="max"}': "10x60",
    f'llmmetrics_budget_window_timestamp_seconds{{{A}, edge="end"}}': "7200x60",
    f'llmmetrics_budget_window_timestamp_seconds{{{A}, edge="start"}}': "0x60",
    f"llmmetrics_retries_total{{{A}}}": "0+3x60",
    f'llmmetrics_budget_refusals_total{{{A}, reason="limit"}}': "0+2x60",
    f'llmmetrics_budget_refusals_total{{{A}, reason="ledger"}}': "0x60",
    # its first value is its first event
    'llmmetrics_internal_errors_total{job="app", instance="a", where="feed"}': "_x40 1x20",
    f'llmmetrics_estimated_tokens_total{{{A}, {MODEL}, token_type="prompt"}}': "_x40 45x20",
    f'llmmetrics_estimated_tokens_total{{{A}, {MODEL}, token_type="total"}}': "_x40 45x20",
    'llmmetrics_price_catalog_info{job="app", instance="a", version="1"}': "1x60",
    'llmmetrics_price_catalog_info{job="app", instance="b", version="2"}': "1x60",
    'up{job="app", instance="a"}': "1x60",
    'up{job="app", instance="b"}': "1x60",
    'up{job="app", instance="c"}': "0x60",
    # of no concern
    'up{job="node", instance="d"}': "0x60",
}

BUDGET = '{{backend="{}", job="app"}}'

# what a panel shows at the end of the hour, of which the dashboard's range is the last 50 minutes
TRUE = {
    "Success rate A": {"{}": 0.75},
    "Latency (P95) A": {"{}": 1.75},
    "Request rate A": {'{backend="openai"}': 0.2},
    "Requests by backend A": {'{backend="openai"}': 597},
    "Tokens per second A": {'{token_type="prompt"}': 1, '{token_type="completion"}': 0.5},
    "Cost per hour A": {'{backend="openai"}': 29.75},
    # ten minutes before the range are not in it, and a restart it removes nothing
    "Cumulative cost A": {'{backend="openai"}': 24.75},
    "Cost of the range A": {"{}": 24.75},
    "Daily cost forecast A": {"{}": 714},
    "Error rate A": {'{error_type="auth"}': 0.17, '{error_type="timeout"}': 0.08},
    "Error rate by backend A": {'{backend="openai"}': 0.25},
    "Retries A": {'{backend="openai"}': 0.25},
    "Next window A": {BUDGET.format("openai"): 7_200_000},
    "Backend health A": {'{backend="openai"}': 0, '{backend="gemini"}': 1},
    "Healthy backends A": {"{}": 1},
    "Healthy backends B": {"{}": 1},
    "Active requests A": {'{backend="openai"}': 3},
    "Active requests B": {"{}": 5},
    "Budget used A": {BUDGET.format(name): value for name, value in (("openai", 0.38), ("spent", 1.2), ("idle", 0.1))},
    "Budget left A": {BUDGET.format(name): value for name, value in (("openai", 6.25), ("spent", -2), ("idle", 9))},
    # $6.25 at $3.75 an hour; nothing is left; nothing is spent
    "Time to exhaustion A": {BUDGET.format("openai"): 6000, BUDGET.format("spent"): 0},
    "Spend and limit B": {BUDGET.format(name): value for name, value in (("openai", 7.5), ("spent", 12), ("idle", 1))},
    "Refused calls A": {'{backend="openai", reason="limit"}': 4},
    "Internal errors A": {"{}": 1},
    "Estimated tokens A": {"{}": 0.01},
    "Requests without a price A": {"{}": 0},
    "Price catalogue A": {'{version="1"}': 1, '{version="2"}': 1},
    "Processes scraped A": {"{}": 2},
    "Processes scraped B": {"{}": 1},
}

# a line through an hour's steps is not exact
ROUNDED = {"Time to exhaustion A": 10, "Spend and limit B": 0.1}

VALUES = {
    "__rate_interval": "2m",
    "__range": "50m",
    "__interval": "1m",
    "__interval_ms": "60000",
    "__from": str(10 * 60 * 1000),
}


@pytest.mark.parametrize("name", TRUE)
def test_an_expression_comes_to_what_is_true(tmp_path, name):
    expression = filled(expressions()[name][0], **VALUES)
    case = {
        "expr": f"round({expression}, {ROUNDED.get(name, 0.01)})",
        "eval_time": "60m",
        "exp_samples": [{"labels": labels, "value": value} for labels, value in TRUE[name].items()],
    }
    series = [{"series": labels, "values": values} for labels, values in SERIES.items()]
    test = {
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": [case]}],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test), "utf8")
    command = [program("promtool", "prometheus"), "test", "rules", tmp_path / "test.yml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
