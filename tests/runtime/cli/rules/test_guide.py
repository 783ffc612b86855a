"""Every erratum of the guide is found in its own queries, and nothing in what this project ships instead."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import yaml
from support import shared
from support.documentation import blocks, name, pages

from llmmetrics.cli.main import main

HERE = Path(__file__).parent
OURS = HERE.parents[3] / "dashboards"

SIDES = "never match, so the result is empty: limit_type is"
QUANTILE = "histogram_quantile() of single series"
ERRATA = [
    ("budget percentage, remaining, near limit; both budget alerts", SIDES, [
        *("panel Budget Usage Percentage (NEW!)", "panel Backends Near Budget Limit", "panel Budget Remaining"),
        *("/LLMBudgetNearLimit", "/LLMBudgetExceeded"),
    ]),
    ("a range of a sum", "only a plain metric takes a range", ["panel Max Concurrent Requests (Last Hour)"]),
    ("tokens per second, stacked by token_type", "stacks the token_type `total`", ["panel Tokens per Second"]),
    ("cost alert", "each series of llm_estimated_cost_usd is compared with 10 separately", ["/LLMCostExceeded"]),
    ("high error rate, no rate of requests", "0.05 is compared with errors per second", ["/HighLLMErrorRate"]),
    ("high error rate, per type", "each series of llm_errors_total is compared with 0.05", ["/HighLLMErrorRate"]),
    ("success-rate recording rule", "the recorded series has no labels", ["/job:llm_success_rate:5m"]),
    ("P95", QUANTILE, ["panel P95 Latency", "panel P95 Latency", "/HighLLMLatency"]),
    ("budget annotation", "'{{ $value }}%' of a ratio prints 0.95%", ["/LLMBudgetNearLimit"]),
    ("retention", "reject this key in the configuration file", [
        *("storage.tsdb.retention.time", "storage.tsdb.retention.size"),
    ]),
    ("panels of type graph", "has removed panels of type graph", [
        *("panel Request Rate", "panel Tokens per Second", "panel P95 Latency"),
    ]),
    ("format", "has removed `format` of a panel", ["panel Estimated Cost (24h)"]),
    ("stack", "has removed `stack` of a panel", ["panel Tokens per Second"]),
    ("sum of health", "sum counts instances, not backends", ["panel Backend Health"]),
    ("cost as a total", "llm_estimated_cost_usd is a counter, used without rate()", ["panel Cost by Backend"]),
]  # fmt: skip
"""Each row of the contract's table: what is said, and where. Nothing else is said of the guide."""


def extracted(directory: Path) -> list[str]:
    """The guide's own queries, each as the file that Prometheus or Grafana would take."""
    text = shared("seed/metrics-and-monitoring-guide.md").read_text("utf8")
    blocks = re.findall(r"### ([^\n]+)\n\n[^\n]*\n```promql\n(.*?)```", text, re.DOTALL)
    panels = [{"title": title, "type": "timeseries", "targets": [{"expr": query}]} for title, query in blocks]
    panels += [json.loads(each) for each in re.findall(r"```json\n(\{\s+\"title\".*?)```", text, re.DOTALL)]
    assert len(panels) == 15 + 4
    (directory / "dashboard.json").write_text(json.dumps({"panels": panels}))
    documents = [yaml.safe_load(each) for each in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    groups = [group for each in documents if isinstance(each, dict) for group in each.get("groups", [])]
    # the guide writes the other alerts as a bare list
    groups.append({"name": "more", "rules": [rule for each in documents if isinstance(each, list) for rule in each]})
    assert sum(len(group["rules"]) for group in groups) == 5 + 2
    (directory / "rules.yml").write_text(yaml.safe_dump({"groups": groups}))
    (config,) = (each for each in documents if "storage" in each)
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    return files(directory)


def files(directory: Path) -> list[str]:
    return [str(directory / name) for name in ("dashboard.json", "rules.yml", "prometheus.yml")]


@pytest.mark.parametrize("source", ["the guide", "a copy of its queries"])
def test_every_erratum_of_the_guide_is_found_and_nothing_else(source, tmp_path, capsys):
    asked = extracted(tmp_path) if source == "the guide" else files(HERE / "guide")
    assert main(["rules", "check", *asked]) == 1
    lines = [each for each in capsys.readouterr().out.splitlines() if not each.startswith(" ")]
    for erratum, words, places in ERRATA:
        found = [each for each in lines if words in each]
        assert len(found) == len(places), erratum
        for place in places:
            assert any(f"{place}: " in each for each in found), f"{erratum}: {place}"
        lines = [each for each in lines if each not in found]
    assert lines == []


def test_without_promtool_it_is_the_same(without_promtool, capsys):
    assert main(["rules", "check", *files(HERE / "guide")]) == 1
    lines = [each for each in capsys.readouterr().out.splitlines() if not each.startswith(" ")]
    assert len(lines) == sum(len(places) for _, _, places in ERRATA)


def test_nothing_is_found_in_ours(capsys):
    ours = [*OURS.glob("prometheus/*.yml"), *OURS.glob("grafana/*.json")]
    if not ours:
        reason = "needs the rules and dashboards that are shipped, under dashboards/"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    code = main(["rules", "check", *map(str, sorted(ours))])
    out, err = capsys.readouterr()
    assert (code, err) == (0, ""), out


def test_nothing_is_found_in_what_the_docs_recommend(dashboard, capsys):
    found = [
        (f"{name(page)}:{each.line}", each) for page in pages() for each in blocks(page) if each.language == "promql"
    ]
    panels = [{"title": where, "targets": [{"expr": each.text}]} for where, each in found if not each.shown]
    assert len(panels) > 5
    assert main(["rules", "check", dashboard(*panels)]) == 0, capsys.readouterr().out
