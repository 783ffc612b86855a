"""Findings in dashboards: panels, variables, wrappings."""

from __future__ import annotations

import json

import pytest
import yaml

from llmmetrics.cli.main import main

CALLS = "sum by (job, backend) (rate(llm_requests_total[5m]))"

RATIO = f"sum by (job, backend) (rate(llm_errors_total[5m])) / {CALLS}"

# what promtool adds is in test_prometheus_itself.py
pytestmark = pytest.mark.usefixtures("without_promtool")


@pytest.fixture
def said(capsys):
    """The findings of a run that has some, each in its lines."""

    def run(*files: str) -> list[str]:
        code = main(["rules", "check", *files])
        out, err = capsys.readouterr()
        lines = out.splitlines()
        assert err == ""
        assert code == (not lines[0].startswith("ok "))
        return [] if lines[0].startswith("ok ") else [each for each in lines if not each.startswith(" ")]

    return run


def test_panels(said, dashboard):
    stacked = {"fieldConfig": {"defaults": {"custom": {"stacking": {"mode": "normal"}}}}}
    tokens = [{"expr": "sum by (token_type) (rate(llm_tokens_total[5m]))"}]
    percent = {"fieldConfig": {"defaults": {"unit": "percent"}}}
    found = said(
        dashboard(
            {"title": "a", "type": "timeseries", "targets": tokens} | stacked,
            {"title": "b", "type": "piechart", "targets": tokens},
            {"title": "c", "type": "gauge", "targets": [{"expr": RATIO}]} | percent,
            {"title": "row", "type": "row", "panels": [{"title": "d", "type": "singlestat"}]},
            {"title": "e", "type": "stat", "targets": [{"expr": CALLS, "legendFormat": "{{backend}} {{ model }}"}]},
            {"id": 7, "type": "timeseries", "yaxes": []},
            {"title": "f", "type": "timeseries", "targets": tokens},
            {"title": "g", "type": "gauge", "targets": [{"expr": f"{RATIO} * 100"}]} | percent,
            {
                "title": "h",
                "type": "logs",
                "targets": [{"expr": '{app="llm_x"} |= "a"', "datasource": {"type": "loki"}}],
            },
            {"title": "i", "type": "text"},
            {"title": "j", "datasource": "Loki", "targets": [{"expr": "sum(rate({a=~`llm_x`} |= `b`[5m]))"}]},
            {
                "title": "k",
                "datasource": {"type": "datasource", "uid": "-- Mixed --"},
                "targets": [
                    {"expr": "llm_none", "datasource": {"type": "prometheus", "uid": "${datasource}"}},
                    {"expr": '{app="a"} |= "b"', "datasource": {"type": "loki"}},
                ],
            },
        )
    )
    said_of = {line.partition("panel ")[2].partition(":")[0]: line for line in found}
    assert {title: " " in line for title, line in said_of.items()} == dict.fromkeys("abcde7k", True)
    for title, words in {
        **dict.fromkeys("ab", "stacks the token_type `total`"),
        "c": 'use the unit "percentunit"',
        "d": '"type": "stat"',
        "e": "names the label 'model'",
        "k": "llm_none does not exist",
        "7": "has removed `yaxes` of a panel",
    }.items():
        assert words in said_of[title]


def test_a_dashboards_variables(said, dashboard):
    listed = [
        {"name": "job", "type": "query", "query": {"query": "label_values(llm_requests_total, job)"}},
        {"name": "kind", "type": "query", "query": 'label_values(llm_errors_total{backend=~"$backend"}, error_type)'},
        {"name": "wrong", "type": "query", "query": "label_values(llm_errors_total, model)"},
        {"name": "gone", "type": "query", "query": "label_values(llm_errors, backend)"},
        {"name": "all", "type": "query", "query": "label_values(backend)"},
        {"name": "window", "type": "interval", "query": "5m,1h", "current": {"value": "$__auto_interval_window"}},
        {"name": "by", "type": "custom", "query": "backend,model", "current": {"value": ["model"]}},
    ]
    right = [
        'sum by ($by) (rate(llm_requests_total{job=~"$job", backend=~"${backend:regex}", status="[[status]]"}[$window]))',
        "increase(llm_requests_total[$__range]) / $__range_s",
        "rate(llm_errors_total[$__rate_interval])",
        "rate(llm_errors_total[${unknown}])",
        # its type is unknown here
        "topk($n, rate(llm_errors_total[5m]))",
        'label_replace(rate(llm_errors_total[5m]), "a", "$1", "backend", "(.*)")',
    ]
    panel = {"title": "p", "type": "stat", "targets": [{"expr": each} for each in right]}
    wrong = {"title": "q", "type": "stat", "targets": [{"expr": 'rate(llm_errors_total{status=~"$status"}[5m])'}]}
    found = said(
        dashboard(panel, wrong, templating={"list": listed}, annotations={"list": [{"name": "n", "expr": "llm_none"}]})
    )
    assert [each.partition(", ")[2].partition(":")[0] for each in found] == [
        # a label that does not exist is one whatever value is chosen
        "panel q",
        "variable wrong",
        "variable gone",
        "annotation n",
    ]


def test_other_wrappings(said, tmp_path):
    wrong = {"expr": "llm_none"}
    api = tmp_path / "api.json"
    api.write_text(json.dumps({"meta": {}, "dashboard": {"panels": [{"title": "a", "targets": [wrong]}]}}))
    panel = tmp_path / "panel.json"
    panel.write_text(json.dumps({"title": "b", "targets": [wrong]}))
    crd = tmp_path / "crd.yaml"
    groups = [{"name": "c", "rules": [{"alert": "D", **wrong}]}]
    crd.write_text(yaml.safe_dump({"kind": "PrometheusRule", "spec": {"groups": groups}}))
    retention = tmp_path / "prometheus.yml"
    retention.write_text("storage: {tsdb: {retention: {time: 30d}}}")
    unit_tests = tmp_path / "tests.yml"
    unit_tests.write_text("rule_files: [a.yml]\ntests: []\n")
    found = said(*map(str, (api, panel, crd, retention, unit_tests)))
    assert [each.partition(", ")[2].partition(": ")[0] for each in found] == [
        *("panel a", "panel b", "c/D", "storage.tsdb.retention.time"),
    ]
