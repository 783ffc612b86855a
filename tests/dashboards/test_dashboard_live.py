"""A real Prometheus that scrapes the demo answers every query of the dashboard."""

from __future__ import annotations

import math
import re
import sys
import time

import pytest
from support.dashboard import annotation, document, expressions, filled
from support.servers import free_port, get, prometheus, running, until

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs: [{{job_name: demo, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]
"""
# an alert for a backend and one for a job, which always fire
RULES = """
groups:
  - name: always
    rules:
      - alert: LLMOfOne
        expr: llm_backend_health{backend="gemini"} >= 0
      - alert: HighLLMOfAll
        expr: up >= 0
"""

NOTHING = {
    "llmmetrics_budget_shadow_refusals_total": "no budget of the demo is in mode shadow",
    "llmmetrics_folded_models_total": "the demo asks for few models",
    "llmmetrics_unread_calls_total": "every answer is what its format says",
    "llmmetrics_ledger_errors_total": "the demo's ledger is its own memory",
    "llmmetrics_internal_errors_total": "nothing goes wrong inside",
    "llmmetrics_reservations_expired_total": "no call dies",
    "llmmetrics_failovers_total": "the demo has no failover",
    "llmmetrics_answers_total": "the demo asks for no answers that come later",
    "llmmetrics_forgotten_answers_total": "the demo asks for no answers that come later",
    "llmmetrics_unmetered_connections_total": "the demo's traffic is metered",
    "llmmetrics_calls_outside_runs_total": "the demo has no runs",
    "llmmetrics_ignored_tags_total": "the demo has no tags",
    "llm_tagged_": "the calls of the demo have no tags",
}
"""The panels that may be empty or 0, and why."""

EXPRESSIONS = expressions()


@pytest.fixture(scope="module")
def scraped(tmp_path_factory):
    """A Prometheus that scrapes a demo at the address of the container."""
    directory = tmp_path_factory.mktemp("live")
    (directory / "rules.yml").write_text(RULES, "utf8")
    port = free_port()
    command = [sys.executable, "-m", "llmmetrics", "demo", "--host", "0.0.0.0", "--port", str(port)]
    with running(command, directory / "log"):
        until(lambda: "llm_requests_total" in get(f"http://127.0.0.1:{port}/metrics"), "the demo")
        with prometheus(directory, CONFIG.format(port=port)) as client:
            until(lambda: client.query("llm_requests_total"), "a scrape")
            yield client


def shown(client, expression, target):
    """Return the series of a panel: labels, and the values of the last half minute."""
    now = int(time.time())
    if target["instant"]:
        found = client.api("query", query=filled(expression), time=str(now))["result"]
        return [(each["metric"], [float(each["value"][1])]) for each in found]
    given = {"start": str(now - 30), "end": str(now), "step": "5"}
    found = client.api("query_range", query=filled(expression), **given)["result"]
    return [(each["metric"], [float(value) for _, value in each["values"]]) for each in found]


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_has_data_of_the_demo(scraped, name):
    expression, target = EXPRESSIONS[name]
    if any(family in expression for family in NOTHING):
        assert not [value for _, values in shown(scraped, expression, target) for value in values if value]
        return

    def drawn():
        found = shown(scraped, expression, target)
        return found if any(math.isfinite(value) for _, values in found for value in values) else []

    found = until(drawn, name, 120)
    told = set(re.findall(r"{{(\w+)}}", target.get("legendFormat", "")))
    for labels, _ in found:
        assert told <= labels.keys()
        # two series with one name would be drawn as one
        assert labels.keys() - told <= {"job"}
    assert len({tuple(labels[each] for each in sorted(told)) for labels, _ in found}) == len(found)


def test_what_may_show_nothing_is_asked_for():
    asked = " ".join(expression for expression, _ in EXPRESSIONS.values())
    assert [family for family in NOTHING if family not in asked] == []


def test_alerts_are_marked(scraped):
    def fired(backend):
        return {labels["alertname"] for labels, _ in scraped.query(filled(annotation(), backend=backend))}

    until(lambda: fired(".*") == {"LLMOfOne", "HighLLMOfAll"}, "both alerts")
    until(lambda: fired("gemini") == {"LLMOfOne", "HighLLMOfAll"}, "both alerts at gemini")
    assert fired("openai-primary") == {"HighLLMOfAll"}


@pytest.mark.parametrize("name", ["job", "backend", "model"])
def test_a_variable_has_something_to_choose(scraped, name):
    (variable,) = (each for each in document()["templating"]["list"] if each["name"] == name)
    series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
    # during the storage of a scrape, only some of its series exist
    values = lambda: scraped.api(f"label/{label}/values", **{"match[]": filled(series)})  # noqa: E731
    until(lambda: len(values()) == {"job": 1, "backend": 5, "model": 5}[name], f"as many as there are of: {name}")
