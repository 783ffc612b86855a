"""What is read in expressions is what a real Prometheus does; and what only it can tell."""

from __future__ import annotations

import json
import re
import subprocess
from itertools import product

import pytest
import yaml
from prometheus_client import CollectorRegistry
from servers import program

from llmmetrics import Meter
from llmmetrics.cli import main
from llmmetrics.rules import promtool
from llmmetrics.rules.checking import Checker
from llmmetrics.rules.queries import Query
from llmmetrics.rules.simulated import SAMPLES, series

SIDES = [
    "llm_backend_health",
    'llm_backend_budget_usd{limit_type="max"}',
    'llm_backend_budget_usd{limit_type="current"}',
    "rate(llm_requests_total[5m])",
    'increase(llm_requests_total{status=~"success|failure"}[5m])',
    "rate(llm_errors_total[5m])",
    "rate(llm_estimated_cost_usd[5m])",
    "sum by (backend, model) (rate(llm_requests_total[5m]))",
    "sum by (job, backend) (rate(llm_errors_total[5m]))",
    "max without (instance) (llm_active_requests)",
    "sum(rate(llm_requests_total[5m]))",
    'sum by (backend, token_type) (rate(llm_tokens_total{token_type!="total"}[5m]))',
    "histogram_quantile(0.9, sum by (le, backend) (rate(llm_request_duration_seconds_bucket[5m])))",
    'label_replace(min by (backend) (llm_backend_health), "model", "gpt-4o", "", "")',
]
OPERATORS = [
    *("+", "/ on (backend)", "/ on ()", "* on (job, instance, backend)", "- ignoring (limit_type)"),
    *("/ on (backend) group_left ()", "* on (backend) group_left (job)", "/ on (backend) group_right ()"),
    *("- ignoring (model, status) group_left ()", ">= bool", "> bool on (backend)", "and", "and on (backend)"),
    "/ ignoring (token_type, error_type) group_left ()",
]
PAIRS = [f"({one}) {op} ({two})" for one, op, two in product(SIDES, OPERATORS, SIDES)]
WHOLE = [
    *(f"{how} (({each}))" for how in ("count by (backend)", "max without (job, instance)", "sum") for each in SIDES),
    *(f"topk(1000, {each})" for each in SIDES),
]


@pytest.fixture(scope="module")
def prometheus():
    return program("promtool", "prometheus")


def asked(expression: str):
    return Checker([query := Query("here", "panel", expression)], frozenset()).check(query)


def test_series_match_as_they_do_in_prometheus(prometheus, tmp_path):
    """Each pair of sides under each operator: the same number of series, or none, or a refusal."""
    shapes = {each: asked(each).shape for each in PAIRS + WHOLE}
    # what is wrong has a shape that nobody knows
    sizes = {each: len(shape.series or ()) for each, shape in shapes.items()}
    assert len({size for size in sizes.values() if size}) > 10
    assert sum(size == 0 for size in sizes.values()) > len(sizes) / 4
    tests = []
    for number, (expression, size) in enumerate(sizes.items()):
        held = f"unless on () (count({expression}) == {size})" if size else f"and on () count({expression})"
        ask = f'label_replace(vector(0) {held}, "check", "{number}", "", "")'
        tests.append({"expr": ask, "eval_time": "1h"})
    document = promtool._test({})
    document["rule_files"] = []
    document["tests"][0]["promql_expr_test"] = tests
    (tmp_path / "test.json").write_text(json.dumps(document))
    done = subprocess.run(
        [prometheus, "test", "rules", str(tmp_path / "test.json")], capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    expressions = list(sizes)
    differ = [expressions[int(number)] for number in re.findall(r'got: \{check="(\d+)"\}', said)]
    assert differ == []
    refused = {expressions[int(number)] for number, _ in promtool._REFUSED.findall(said)}
    assert refused
    assert not [each for each in refused if sizes[each]]


def test_the_simulated_series_are_those_of_a_meter():
    """Names and labels of the tables that the check reads, against what a meter shows."""
    registry = CollectorRegistry()
    backend = {"Name": "a", "Type": "OpenAI", "ModelName": "gpt-4o", "MaxSpendUsd": 1}
    meter = Meter.from_settings({"Backends": [backend], "Budget": {"Ledger": "memory://"}}, registry=registry)
    shown = {each.name: set(each.labels) for family in registry.collect() for each in family.samples}
    meter.close()
    assert set(shown) <= set(SAMPLES)
    assert {"llm_requests_total", "llm_backend_budget_usd", "llm_request_duration_seconds_bucket"} <= set(shown)
    for name, labels in shown.items():
        simulated = {frozenset(dict(each)) for each in series(name, frozenset())}
        assert simulated == {frozenset(labels | {"job", "instance"})}


def test_a_range_of_one_scrape(prometheus, rules, capsys):
    assert main(["rules", "check", rules({"record": "x", "expr": "rate(llm_requests_total[10s])"})]) == 1
    assert "Prometheus gives nothing for it" in capsys.readouterr().out


@pytest.mark.parametrize("expression", [
    "rate(llm_requests_total{job='mine', backend=\"my own\", model!~`x{2}`}[1m]) > 1e9",
    "sum by (env) (rate(llm_requests_total{env='prod'}[5m])) < 0.5 # a } in a comment, and >",
    "llm_backend_health < bool 1",
    "llm_backend_health offset 1d",
    "llm_backend_health unless on (backend) llm_active_requests > 100",
])  # fmt: skip
def test_what_is_empty_for_want_of_bad_luck(prometheus, rules, capsys, expression):
    assert main(["rules", "check", rules({"record": "x", "expr": expression})]) == 0
    assert capsys.readouterr().out.endswith("have nothing wrong in them (read, and evaluated by promtool)\n")


def test_rules_of_rules_are_evaluated(prometheus, rules, capsys):
    recorded = [
        {"record": "llm:calls", "expr": "sum by (backend) (rate(llm_requests_total[5m]))"},
        # found by reading, and recorded all the same
        {"record": "llm:cost", "expr": "sum by (backend) (llm_estimated_cost_usd)"},
    ]
    alert = {"alert": "A", "expr": "llm:cost / llm:calls > 1e6"}
    assert main(["rules", "check", rules(*recorded, name="a.yml"), rules(alert, name="b.yml")]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_what_prometheus_alone_does_not_load(prometheus, rules, tmp_path, capsys):
    alert = {"alert": "A", "expr": "up == 0", "annotations": {"summary": "{{ nothing }}"}}
    config = tmp_path / "prometheus.yml"
    config.write_text(yaml.safe_dump({"global": {"scrape_intervall": "1s"}}))
    assert main(["rules", "check", rules(alert), str(config)]) == 1
    template, field = capsys.readouterr().out.splitlines()
    assert 'function "nothing" not defined' in template
    assert "scrape_intervall" in field
    assert str(config) in field


def test_a_promtool_that_does_not_work(tmp_path, monkeypatch, rules, capsys):
    broken = tmp_path / "promtool"
    broken.write_text('#!/bin/sh\n[ "$1" = check ] && exit 0\necho out of memory >&2\nexit 3\n')
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert main(["rules", "check", rules({"record": "x", "expr": "llm_backend_health"})]) == 1
    assert "promtool could not evaluate the files: out of memory" in capsys.readouterr().out
