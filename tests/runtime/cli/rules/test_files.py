"""What is found around expressions: in alerts, recording rules, panels and variables, and in files that are none."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from llmmetrics.cli.main import main
from llmmetrics.cli.rules import grafana, prometheus
from llmmetrics.cli.rules.checking import Checker
from llmmetrics.cli.rules.queries import UnreadableError

CALLS = "sum by (job, backend) (rate(llm_requests_total[5m]))"

RATIO = f"sum by (job, backend) (rate(llm_errors_total[5m])) / {CALLS}"

COST = "increase(llm_estimated_cost_usd[1h])"

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


def test_a_finding_says_where_and_shows_the_expression(rules, dashboard, capsys):
    files = [
        rules({"alert": "Spent", "expr": "llm_requests_totals\n  > 1"}),
        dashboard({"title": "Odd\x1b", "type": "stat", "targets": [{"expr": "rate(llm_requests[5m]) + " * 20 + "1"}]}),
    ]
    assert main(["rules", "check", *files]) == 1
    first, shown, second, cut = capsys.readouterr().out.splitlines()
    assert first == (
        f"error    {files[0]}, g/Spent: llm_requests_totals does not exist, so the result is empty "
        "-- did you mean llm_requests_total?"
    )
    assert shown == "         llm_requests_totals > 1"
    assert second.startswith(f"error    {files[1]}, panel Odd?: llm_requests does not exist")
    assert len(cut) == 9 + 160
    assert cut.endswith(" …")


@pytest.mark.parametrize(("text", "expression", "words"), [
    ("at {{ $value }}%", f"{RATIO} > 0.5", "prints 0.95%"),
    ('{{ $value | printf "%.1f" }} %', f"{RATIO} > 0.5", "prints 0.95%"),
    ("{{ $value | humanizePercentage }}%", f"{RATIO} > 0.5", "writes the %"),
    ("{{ $value | humanizePercentage }}", f"{RATIO} * 100 > 50", "multiplies by 100"),
    ("{{ $labels.model }}", f"{RATIO} > 0.5", "names the label 'model'"),
    ("{{ $labels.pod }}", f"{RATIO} > 0.5", "names the label 'pod'"),
    ("{{ $value }}%", f"{RATIO} * 100 > 50", None),
    ("{{ $value | humanizePercentage }} of {{ $labels.backend }}", f"{RATIO} > 0.5", None),
    ("{{ $value }} calls, 95% of them", f"{CALLS} > 5", None),
    ("{{ $labels.pod }} {{ $labels.model }}", "llm_requests_total unless llm_requests_total offset 1h", None),
])  # fmt: skip
def test_annotations(said, rules, text, expression, words):
    found = said(rules({"alert": "A", "expr": expression, "annotations": {"summary": text}}))
    assert [words in each for each in found] == ([True] if words else [])


@pytest.mark.parametrize(("expression", "words"), [
    (f"{COST} > 10", "each series of llm_estimated_cost_usd is compared with 10 separately"),
    (f"10 <= {COST}", "separately"),
    ("sum by (backend, error_type) (rate(llm_errors_total[5m])) > 0.05", "not a share of the requests"),
    (f"sum by (job) ({COST}) > 10", None),
    (f"sum by (instance) ({COST}) > 10", None),
    (f"{COST} > 0", None),
    ("llm_active_requests > 50", None),
    ("sum(increase(llm_errors_total[5m])) > 10", None),
    ('sum(rate(llm_errors_total{error_type="auth"}[5m])) > 0', None),
])  # fmt: skip
def test_thresholds_of_alerts(said, rules, expression, words):
    found = said(rules({"alert": "A", "expr": expression}))
    assert [words in each for each in found] == ([True] if words else [])


def test_names_of_recording_rules(said, rules):
    (line,) = said(rules({"record": "backend_model:llm_cost:1h", "expr": f"sum by (backend) ({COST})"}))
    assert "only backend, but its name promises model" in line
    (line,) = said(
        rules({"record": "llm_success", "expr": "sum(rate(llm_errors_total[1m])) / sum(rate(llm_requests_total[1m]))"})
    )
    assert "the recorded series has no labels: " in line
    assert said(rules({"record": "job:llm_cost:1h", "expr": f"sum by (job) ({COST})"})) == []
    assert said(rules({"record": "llm_cost:sum", "expr": f"sum({COST})"})) == []


def test_rules_ask_for_what_others_record_in_whatever_file(said, rules, dashboard):
    recorded = rules(
        {"record": "job:llm_failed:rate", "expr": "job:llm_ended:rate{status!='success'}"},
        {"record": "job:llm_ended:rate", "expr": "sum by (job, status) (rate(llm_requests_total[5m]))"},
        {"record": "llm_is_ours_by_its_rule", "expr": "sum(rate(llm_errors_total[5m]))", "labels": {"team": "a"}},
    )
    panel = {"title": "p", "type": "stat"}
    right = ["sum by (job) (job:llm_failed:rate)", "sum by (team) (llm_is_ours_by_its_rule)"]
    assert said(recorded, dashboard(panel | {"targets": [{"expr": each} for each in right]})) == []
    wrong = [
        ('job:llm_ended:rate{status="ok"}', "status of job:llm_ended:rate is never 'ok'"),
        ('job:llm_failed:rate{status="success"}', "it is one of cancelled, failure, timeout"),
        ("job:llm_ended:rate / sum by (job) (job:llm_ended:rate)", "only the left has status"),
        ("sum by (backend) (job:llm_ended:rate)", "has no such label"),
    ]
    found = said(recorded, dashboard(panel | {"targets": [{"expr": each} for each, _ in wrong]}))
    assert [words in line for line, (_, words) in zip(found, wrong, strict=True)] == [True] * len(wrong)


def test_rules_that_ask_for_each_other_end(said, rules):
    assert said(rules({"record": "llm_a", "expr": "llm_b"}, {"record": "llm_b", "expr": "llm_a * 2"})) == []


def test_the_labels_that_a_scrape_configuration_adds(said, rules, tmp_path):
    asking = rules({"record": "x", "expr": 'sum by (cell) (rate(llm_requests_total{shard="1"}[5m]))'})
    assert len(said(asking)) == 1
    config = tmp_path / "prometheus.yml"
    config.write_text(
        yaml.safe_dump({
            "global": {"external_labels": {"cell": "a"}},
            "scrape_configs": [
                {"job_name": "a", "relabel_configs": [{"source_labels": ["a"], "target_label": "shard"}]}
            ],
        })
    )  # fmt: skip
    assert said(asking, str(config)) == []
    naming = rules({"alert": "A", "expr": "llm_active_requests > 9", "annotations": {"summary": "{{ $labels.cell }}"}})
    assert len(said(naming)) == 1
    assert said(naming, str(config)) == []


UNREADABLE = [
    ("none.yml", None, "cannot be read (No such file or directory)"),
    ("broken.yml", "groups:\n - name: [\n", "is not YAML ("),
    ("broken.yml", "a: b: c", "line 1, column 5)"),
    ("broken.json", "{", "is not JSON ("),
    ("latin.yml", b"\xff\xfe\x00", "is not text in UTF-8"),
    ("list.yml", "- alert: A\n  expr: up\n", "has rules outside a group"),
    ("other.yml", "services: {}", "not rules (`groups`) and not a prometheus.yml"),
    (
        "alertmanager.yml",
        "global: {smtp_from: a@b.c}\nroute: {receiver: x}\nreceivers: [{name: x}]",
        "an alertmanager.yml",
    ),
    ("am.yml", "global: {}\nreceivers: [{name: x}]", "an alertmanager.yml"),
    ("inhibit.yml", "tracing: {}\nroute: {receiver: x}\ninhibit_rules: []", "an alertmanager.yml"),
    ("empty.yml", "", "not rules"),
    ("word.yml", "word", "not rules"),
    ("groups.yml", "groups: 1", "is not a rules file"),
    ("group.yml", "groups: [{name: a}]", "is not a rules file"),
    ("both.yml", "groups: [{name: a, rules: [{alert: a, record: b, expr: c}]}]", "rule 1 of group 'a'"),
    ("no_expression.yml", "groups: [{name: a, rules: [{alert: a}]}]", "should have `alert` or `record`, and an `expr`"),
    ("old.json", '{"schemaVersion": 14, "rows": [{"panels": []}]}', "of an old schema (schemaVersion 14"),
    ("new.json", '{"apiVersion": "v2", "spec": {"elements": {}}}', "schema v2: export it as classic JSON"),
    ("package.json", '{"name": "x"}', "is JSON, but not a dashboard"),
    ("list.json", "[]", "is JSON, but not a dashboard"),
    ("panels.json", '{"panels": 3}', "no list of `panels`"),
]


@pytest.mark.parametrize(("name", "content", "words"), UNREADABLE)
def test_a_file_that_is_none_of_these_exits_with_2(tmp_path, rules, capsys, name, content, words):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["rules", "check", rules({"alert": "A", "expr": "up"}), str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith(f"llmmetrics: {path} ")
    assert words in line


KEYS = st.sampled_from([
    *("expr", "title", "type", "id", "panels", "targets", "list", "fieldConfig", "defaults", "custom", "stacking", "mode"),
    *("query", "name", "current", "value", "datasource", "legendFormat", "dashboard", "spec", "kind", "rows", "unit"),
    *("alert", "record", "labels", "annotations", "summary", "tsdb", "retention", "target_label", "external_labels"),
])  # fmt: skip

WORDS = st.sampled_from(["llm_requests_total", "$x", "label_values(llm_errors_total, model)", "query", "loki", ""])

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)

OBJECTS = st.lists(st.dictionaries(KEYS, VALUES, max_size=6), max_size=3)

TOPS = {
    "panels": OBJECTS,
    "templating": st.fixed_dictionaries({"list": OBJECTS}),
    "annotations": st.fixed_dictionaries({"list": OBJECTS}),
    "groups": st.lists(st.fixed_dictionaries({"rules": OBJECTS}), max_size=2),
    "storage": VALUES,
    "scrape_configs": VALUES,
}


@given(st.fixed_dictionaries({}, optional={key: each | VALUES for key, each in TOPS.items()}), st.booleans())
def test_whatever_a_file_holds_it_is_read_or_said_to_be_none(content, is_json):
    try:
        document = grafana.dashboard(content) if is_json else prometheus.document(content)
    except UnreadableError:
        return
    checker = Checker(document.queries, document.targets)
    for each in document.queries:
        checker.check(each)


def test_without_the_extra_it_says_what_to_install(rules):
    code = "import sys; sys.modules['promql_parser'] = None; from llmmetrics.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "rules", "check", rules({"alert": "A", "expr": "up"})]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "llmmetrics: promql_parser is not installed: pip install 'llmmetrics[cli]'\n"


@pytest.mark.parametrize("arguments", [["rules"], ["rules", "check"], ["rules", "check", "--no", "x"]])
def test_a_wrong_call_exits_with_2(arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
