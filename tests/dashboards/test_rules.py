"""The shipped rules: what promtool says of them, that each alert is tested both ways, and that it says what to do."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
import yaml
from support.alerting import DASHBOARDS, DOCS, RULES, alerts, shipped
from support.servers import program

PROMETHEUS = DASHBOARDS / "prometheus"
TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
ALERTS = alerts()


def tool(*arguments, name="promtool", package="prometheus"):
    done = subprocess.run([program(name, package), *map(str, arguments)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def cases():
    for path in TESTS:
        for group in yaml.safe_load(path.read_text("utf8"))["tests"]:
            yield from group.get("alert_rule_test", ())


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", *(PROMETHEUS / name for name in RULES)),
        ("check", "config", PROMETHEUS / "prometheus.yml"),
        ("check", "config", PROMETHEUS / "remote_write/azure.yml"),
        ("check", "config", PROMETHEUS / "remote_write/aws.yml"),
        ("test", "rules", *TESTS),
    ],
    ids=lambda arguments: f"{arguments[0]} {arguments[1]} {arguments[2].stem}",
)
def test_promtool_finds_nothing(arguments):
    code, said = tool(*arguments)
    assert code == 0, said


def test_amtool_finds_nothing():
    code, said = tool(
        *("check-config", DASHBOARDS / "alertmanager/alertmanager.yml"),
        name="amtool",
        package="prometheus-alertmanager",
    )
    assert code == 0, said


def test_each_alert_is_tested_firing_and_not_firing():
    found = [(each["alertname"], bool(each["exp_alerts"])) for each in cases()]
    assert {(name, fires) for name in ALERTS for fires in (True, False)} == set(found)


def longer(duration):
    return f"{2 * int(duration[:-1])}m" if duration else "5m"


def none(_):
    return "0s"


@pytest.mark.parametrize(("wrong", "held"), [(longer, ALERTS.keys()), (none, ALERTS.keys() - {"LLMCostExceeded"})])
def test_the_unit_tests_hold_each_alert_to_its_duration(tmp_path, wrong, held):
    """Rules that wait twice as long, or not at all, fail them."""
    document = shipped("prometheus/alerts.yml")
    for group in document["groups"]:
        for rule in group["rules"]:
            rule["for"] = wrong(rule.get("for"))
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(document), "utf8")
    (tmp_path / "tests").mkdir()
    copies = [shutil.copy(path, tmp_path / "tests") for path in TESTS if path.stem != "recording"]
    code, said = tool("test", "rules", *copies)
    assert code == 1
    assert set(re.findall(r"alertname: (\w+)", said)) == held


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_is_wrong_and_what_to_do(name):
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
    page = (DOCS / "runbooks" / f"{name}.md").read_text("utf8")
    assert page.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == ["What it means", "How to look", "What to do"]


def test_the_docs_list_each_alert_with_its_severity_and_duration():
    rows = re.findall(
        r"^\| \[(\w+)\]\(runbooks/(\w+)\.md\) \| (\w+) \|.*\| (\S+) \|$",
        (DOCS / "alerts.md").read_text("utf8"),
        re.MULTILINE,
    )
    assert rows == [(name, name, rule["labels"]["severity"], rule.get("for", "-")) for name, rule in ALERTS.items()]
    assert {path.stem for path in (DOCS / "runbooks").glob("*.md")} == ALERTS.keys()


def test_every_severity_has_a_route():
    config = shipped("alertmanager/alertmanager.yml")
    matched = {each for route in config["route"]["routes"] for each in route["matchers"]}
    assert matched == {'severity = "critical"'}
    assert {each["name"] for each in config["receivers"]} == {"page", "ticket"}


def test_datadog_s_names_are_families_of_ours():
    from llmmetrics.testing.harness import FAMILIES

    (instance,) = shipped("prometheus/remote_write/datadog.yml")["instances"]
    asked = {name for each in instance["metrics"] for name in each}
    assert not asked - {name.removesuffix("_total") for name in FAMILIES}
