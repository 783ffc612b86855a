"""The errata: each of the guide's expressions has the described error, and each of ours the intended result."""

from __future__ import annotations

import subprocess

import yaml
from support.documentation import DOCS, blocks
from support.servers import program

ERRATA = DOCS / "errata.md"
BUSY, FAILING = (
    'job="app",backend="openai",model="gpt",instance="a"',
    'job="app",backend="claude",model="opus",instance="a"',
)
OTHER = BUSY.replace('"a"', '"b"')

# an hour with a sample every 15 seconds
SERIES = {
    f'llm_requests_total{{{BUSY},status="success"}}': "0+99x240",
    f'llm_requests_total{{{BUSY},status="failure"}}': "0+1x240",
    f'llm_requests_total{{{FAILING},status="success"}}': "0+0x240",
    f'llm_requests_total{{{FAILING},status="failure"}}': "0+0.25x240",
    f'llm_errors_total{{{BUSY},error_type="rate_limit"}}': "0+1x240",
    f'llm_errors_total{{{FAILING},error_type="auth"}}': "0+0.25x240",
    f'llm_tokens_total{{{BUSY},token_type="prompt"}}': "0+120x240",
    f'llm_tokens_total{{{BUSY},token_type="completion"}}': "0+30x240",
    f'llm_tokens_total{{{BUSY},token_type="total"}}': "0+150x240",
    # six dollars an hour each; the first process restarts half-way
    f"llm_estimated_cost_usd{{{BUSY}}}": "0+0.025x120 0.025+0.025x119",
    f"llm_estimated_cost_usd{{{FAILING}}}": "0+0.025x240",
    'llm_active_requests{job="app",backend="openai",instance="a"}': "3x120 1x120",
}
for labels in (BUSY, OTHER):
    series = labels.replace(',model="gpt"', "")
    SERIES[f'llm_backend_budget_usd{{{series},limit_type="current"}}'] = "9.5x240"
    SERIES[f'llm_backend_budget_usd{{{series},limit_type="max"}}'] = "10x240"
    SERIES[f"llm_backend_health{{{series}}}"] = "1x240"
    SERIES[f"llm_backend_health{{{series.replace('openai', 'claude')}}}"] = "1x240"
    for le in ("1", "+Inf"):
        SERIES[f'llm_request_duration_seconds_bucket{{{labels},le="{le}"}}'] = "0+10x240"

OPENAI, CLAUDE = '{backend="openai",job="app"}', '{backend="claude",job="app"}'
RESULTS = {
    "Budgets": ({}, {OPENAI: 0.95}),
    "Tokens per second": (
        {'{token_type="prompt"}': 8, '{token_type="completion"}': 2, '{token_type="total"}': 10},
        {'{token_type="prompt"}': 8, '{token_type="completion"}': 2},
    ),
    "Cost alert": ({}, {'{job="app"}': 12}),
    "High error rate": ({f'{{{BUSY},error_type="rate_limit"}}': 0.07}, {CLAUDE: 1}),
    "Success rate": ({"{}": 0.99}, {OPENAI: 0.99, CLAUDE: 0}),
    "P95": ({f"{{{BUSY}}}": 0.95, f"{{{OTHER}}}": 0.95}, {OPENAI: 0.95}),
    "Healthy backends": ({"{}": 4}, {"{}": 2}),
    "Cost so far": (
        {'{backend="openai"}': 3, '{backend="claude"}': 6},
        {'{backend="openai"}': 6, '{backend="claude"}': 6},
    ),
}
"""The rounded results of the two expressions of a section."""


def pairs() -> dict[str, list[str]]:
    """Return the expressions of each section: the guide's, then ours."""
    lines = ERRATA.read_text("utf8").splitlines()
    found: dict[str, list[str]] = {}
    for block in blocks(ERRATA):
        if block.language == "promql":
            title = next(line[3:] for line in reversed(lines[: block.line]) if line.startswith("## "))
            found.setdefault(title.partition(":")[0], []).append(block.text)
            assert block.shown is (len(found[title.partition(":")[0]]) == 1), title
    return found


def promtool(tmp_path, *arguments: str, **files: str) -> subprocess.CompletedProcess:
    for name, text in files.items():
        (tmp_path / f"{name}.yml").write_text(text, "utf8")
    command = [program("promtool", "prometheus"), *arguments]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)


def tested(tmp_path, *files: str, **test: object) -> None:
    """Run a test with promtool."""
    inputs = [{"series": name, "values": values} for name, values in SERIES.items()]
    text = yaml.safe_dump({"rule_files": files, "tests": [{"interval": "15s", "input_series": inputs, **test}]})
    done = promtool(tmp_path, "test", "rules", "test.yml", test=text)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_pair_gives_what_is_said_of_it(tmp_path):
    said = {name: exprs for name, exprs in pairs().items() if name != "Peak concurrency"}
    assert said.keys() == RESULTS.keys()
    tests = []
    for name, both in RESULTS.items():
        for expression, expected in zip(said[name], both, strict=True):
            samples = [{"labels": labels, "value": value} for labels, value in expected.items()]
            tests.append({"expr": f"round({expression}, 0.01)", "eval_time": "1h", "exp_samples": samples})
    tested(tmp_path, promql_expr_test=tests)


def test_peak_concurrency(tmp_path):
    guides, ours = pairs()["Peak concurrency"]
    rules = yaml.safe_dump({"groups": [{"name": "x", "rules": [{"record": "x", "expr": guides}]}]})
    done = promtool(tmp_path, "check", "rules", "rules.yml", rules=rules)
    assert done.returncode == 1
    assert "parse error" in done.stdout + done.stderr
    tested(
        tmp_path,
        promql_expr_test=[{"expr": ours, "eval_time": "1h", "exp_samples": [{"labels": "{}", "value": 3}]}],
    )


def test_the_budget_annotation(tmp_path):
    (rules,) = (block.text for block in blocks(ERRATA) if block.language == "yaml" and not block.shown)
    (tmp_path / "rules.yml").write_text(rules, "utf8")
    alert = {
        "exp_labels": {"job": "app", "backend": "openai"},
        "exp_annotations": {"description": "Current spend: 95% of the limit of openai"},
    }
    tested(
        tmp_path,
        "rules.yml",
        alert_rule_test=[{"alertname": "LLMBudgetNearLimit", "eval_time": "1h", "exp_alerts": [alert]}],
    )


def test_retention_is_refused(tmp_path):
    (config,) = (block.text for block in blocks(ERRATA) if block.language == "yaml" and block.shown)
    done = promtool(tmp_path, "check", "config", "prometheus.yml", prometheus=config)
    assert done.returncode == 1
    assert "retention" in done.stdout + done.stderr
