"""What is read in expressions is what a real Prometheus does; and what only it can tell."""

from __future__ import annotations

import json
import re
import subprocess
from random import Random

import pytest
import yaml
from prometheus_client import CollectorRegistry
from support import SOAK
from support.servers import program

from llmmetrics import Meter
from llmmetrics.cli.main import main
from llmmetrics.cli.rules import promtool
from llmmetrics.cli.rules.checking import Checker
from llmmetrics.cli.rules.queries import Query
from llmmetrics.cli.rules.simulated import SAMPLES, series

COUNT = 10_000 if SOAK else 1000
LABELS = ["backend", "model", "job", "instance", "status", "token_type", "le", "limit_type", "error_type"]
VALUES = {
    "status": ["success", "failure", "nope"],
    "token_type": ["total", "prompt"],
    "limit_type": ["max", "current"],
    "error_type": ["auth", "auth|network"],
}


class Writer:
    """Expressions at random, most of which can be parsed, and about half of which give something."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.pick = self.random.choice

    def labels(self):
        return f"({', '.join(self.random.sample(LABELS, self.random.randint(0, 3)))})"

    def selector(self):
        name = self.pick(list(SAMPLES))
        label = self.pick([each for each in SAMPLES[name].labels if each in VALUES] or [None])
        if label is None or self.random.random() < 0.5:
            return name
        return f'{name}{{{label}{self.pick(["=", "!=", "=~", "!~"])}"{self.pick(VALUES[label])}"}}'

    def expression(self, depth):
        if depth == 0:
            return self.selector()
        aggregated = (self.aggregated, self.aggregated, self.aggregated)
        make = self.pick(
            [*aggregated, self.called, self.quantile, self.two, self.two, self.many, self.scaled, self.named]
        )
        return make(self.expression(depth - 1), depth - 1)

    def aggregated(self, inner, _):
        how = f"{self.pick(['by', 'by', 'without'])} {self.labels()}"
        return f"{self.pick(['sum', 'max', 'count', 'avg', 'stddev', 'group'])} {how} ({inner})"

    def called(self, *_):
        return f"{self.pick(['rate', 'increase', 'delta', 'max_over_time', 'changes'])}({self.selector()}[5m])"

    def quantile(self, inner, _):
        return f"histogram_quantile(0.9, {inner})"

    def two(self, inner, depth):
        on = self.pick(["", f"on {self.labels()}", f"ignoring {self.labels()}"])
        return f"({inner}) {self.pick(['+', '/', '> bool', 'and'])} {on} ({self.expression(depth)})"

    def many(self, inner, depth):
        return f"({inner}) * on {self.labels()} group_left {self.labels()} ({self.expression(depth)})"

    def scaled(self, inner, _):
        return f"topk(1000, {inner}) {self.pick(['+', '/', '>= bool'])} 100"

    def named(self, inner, _):
        # a bound that is no number is none
        target = self.pick([each for each in LABELS if each != "le"])
        return f'label_replace({inner}, "{target}", "{self.pick(["$1", "x"])}", "{self.pick(LABELS)}", "(.*)")'


@pytest.fixture(scope="module")
def prometheus():
    return program("promtool", "prometheus")


def written(count):
    """So many different expressions that can be parsed, and what is read in each."""
    writer, found = Writer(0), {}
    while len(found) < count:
        query = Query("here", "panel", writer.expression(writer.random.randint(1, 3)))
        checked = Checker([query], frozenset()).check(query)
        if not any("a parse error" in each.finding.what for each in checked.found):
            found[query.expression] = checked
    return found


def test_series_match_as_they_do_in_prometheus(prometheus, tmp_path):
    """As many series as Prometheus gives; or an error is found, and Prometheus gives nothing or refuses."""
    found = written(COUNT)
    tests = []
    for number, (expression, checked) in enumerate(found.items()):
        size = len(checked.shape.series or ())
        held = f"unless on () (count({expression}) == {size})" if size else f"and on () count({expression})"
        ask = f'label_replace(vector(0) {held}, "check", "{number}", "", "")'
        tests.append({"expr": ask, "eval_time": "1h"})
    document = promtool._test({})
    document["rule_files"] = []
    document["tests"][0]["promql_expr_test"] = tests
    (tmp_path / "test.json").write_text(json.dumps(document))
    command = [prometheus, "test", "rules", str(tmp_path / "test.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said, read = done.stdout + done.stderr, list(found.items())
    differ = {int(number) for number in re.findall(r'got: \{check="(\d+)"\}', said)}
    refused = {int(number) for number, _ in promtool._REFUSED.findall(said)}
    # a part of which an error is told may be all the same to the rest
    told = {number for number, (_, each) in enumerate(read) if any(one.finding.level == "error" for one in each.found)}
    assert [read[each][0] for each in differ - told] == []
    assert [read[each][0] for each in refused - told] == []
    assert len(told) < COUNT * 0.8
    assert len(refused) > COUNT * 0.05


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
    assert "the result is empty in Prometheus" in capsys.readouterr().out


@pytest.mark.parametrize("expression", [
    "rate(llm_requests_total{job='mine', backend=\"my own\", model!~`x{2}`}[1m]) > 1e9",
    "sum by (env) (rate(llm_requests_total{env='prod'}[5m])) < 0.5 # a } in a comment, and >",
    "llm_backend_health < bool 1",
    "llm_backend_health offset 1d",
    "llm_backend_health unless on (backend) llm_active_requests > 100",
])  # fmt: skip
def test_what_is_empty_for_want_of_bad_luck(prometheus, rules, capsys, expression):
    assert main(["rules", "check", rules({"record": "x", "expr": expression})]) == 0
    assert capsys.readouterr().out.endswith("(checked, and evaluated by promtool)\n")


def test_rules_of_rules_are_evaluated(prometheus, rules, capsys):
    recorded = [
        {"record": "llm:calls", "expr": "sum by (backend) (rate(llm_requests_total[5m]))"},
        # found by reading, and recorded all the same
        {"record": "llm:cost", "expr": "sum by (backend) (llm_estimated_cost_usd)"},
    ]
    alert = {"alert": "A", "expr": "llm:cost / llm:calls > 1e6"}
    assert main(["rules", "check", rules(*recorded, name="a.yml"), rules(alert, name="b.yml")]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_recorded_thresholds_hold_too(prometheus, rules, capsys):
    recorded = [
        {"record": "llm:busy", "expr": "sum by (backend) (rate(llm_requests_total[5m])) > 1e9"},
        {
            "record": "llm:down",
            "expr": "min by (backend) (llm_backend_health) unless min by (backend) (llm_active_requests)",
        },
        {"record": "llm:down:now", "expr": "llm:down + 1"},
    ]
    asked = [{"alert": "A", "expr": each} for each in ("llm:busy < 5", "llm:down:now * 2 > 1")]
    assert main(["rules", "check", rules(*recorded, *asked)]) == 0, capsys.readouterr().out


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
