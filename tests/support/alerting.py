"""The shipped rules and configurations, adapted for a test: faster, on free ports, with a recording receiver."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS, DOCS = ROOT / "dashboards", ROOT / "docs"
RULES = ("alerts.yml", "recording.yml")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def shipped(name: str) -> dict:
    """Load a shipped file."""
    return yaml.safe_load((DASHBOARDS / name).read_text("utf8"))


def rules(name: str) -> list[dict]:
    """Return the rules of a shipped file."""
    return [rule for group in shipped(f"prometheus/{name}")["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict]:
    """Return the shipped alerts by name."""
    return {each["alert"]: each for each in rules("alerts.yml")}


def looked_at(expression: str) -> list[str]:
    """Return the left side of an alert's comparison, which has a value for each series, and its exceptions."""
    compared = re.sub(r"(>=|<=|==|>|<)", r"\1 bool", expression)
    return re.split(r"\bunless\b(?: on \([^)]*\))?", compared)


def _sixtieth(duration: str) -> str:
    return f"{int(duration[:-1]) * _SECONDS[duration[-1]] * 1000 // 60}ms"


def faster(document: dict) -> dict:
    """Return the rules with every range, `for` and interval divided by 60, and the same thresholds."""
    for group in document["groups"]:
        if "interval" in group:
            group["interval"] = _sixtieth(group["interval"])
        for rule in group["rules"]:
            rule["expr"] = re.sub(r"\[(\w+)\]", lambda found: f"[{_sixtieth(found[1])}]", rule["expr"])
            if "for" in rule:
                rule["for"] = _sixtieth(rule["for"])
    return document


def prometheus_config(directory: Path, target: str, alertmanager: str | None = None, *, interval: str) -> str:
    """Return the shipped prometheus.yml for this target; copied rules in the directory replace the shipped ones."""
    config = shipped("prometheus/prometheus.yml")
    config["global"] = {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval}
    config["rule_files"] = [str(directory / name) for name in config["rule_files"]]
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [alertmanager] if alertmanager else []
    return yaml.safe_dump(config)


def alertmanager_config(webhook: str) -> str:
    """Return the shipped alertmanager.yml with a webhook's paths as receivers, and without waits."""
    config = shipped("alertmanager/alertmanager.yml")
    config["route"] |= {"group_wait": "500ms", "group_interval": "1s"}
    for each in config["receivers"]:
        each["webhook_configs"] = [{"url": f"{webhook}/{each['name']}"}]
    return yaml.safe_dump(config)


class Received:
    """The alerts that a webhook received: the last status of each, by receiver, name and labels."""

    def __init__(self) -> None:
        self.status: dict[tuple[str, ...], str] = {}
        self.annotations: dict[str, dict[str, str]] = {}

    def take(self, receiver: str, message: dict) -> None:
        for alert in message["alerts"]:
            labels = alert["labels"]
            more = [labels[name] for name in ("backend", "error_type", "reason", "kind") if name in labels]
            self.status[receiver, labels["alertname"], *more] = alert["status"]
            self.annotations[labels["alertname"]] = alert["annotations"]

    def of(self, status: str) -> set[tuple[str, ...]]:
        """Return the alerts with this last status."""
        return {alert for alert, each in list(self.status.items()) if each == status}


@contextmanager
def webhook(received: Received) -> Iterator[str]:
    """Start a server that receives an Alertmanager's notifications; yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.take(self.path.removeprefix("/"), json.loads(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
