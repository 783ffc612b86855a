"""Files for `llmmetrics rules check`, and what it finds in them."""

from __future__ import annotations

import json

import pytest
import yaml

from llmmetrics.cli.rules.checking import Checker
from llmmetrics.cli.rules.queries import Query


@pytest.fixture
def found():
    """What is wrong with an expression: each finding as the command prints it."""

    def ask(expression: str, kind: str = "panel", **given) -> list[str]:
        query = Query("here", kind, expression, **given)
        return [str(each.finding) for each in Checker([query], frozenset()).check(query).found]

    return ask


@pytest.fixture
def rules(tmp_path):
    """A rules file with these rules, and others in groups of their own."""

    def write(*rules: dict, name: str = "rules.yml") -> str:
        path = tmp_path / name
        path.write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": list(rules)}]}))
        return str(path)

    return write


@pytest.fixture
def dashboard(tmp_path):
    """A dashboard with these panels."""

    def write(*panels: dict, name: str = "dashboard.json", **more) -> str:
        path = tmp_path / name
        path.write_text(json.dumps({"title": "d", "schemaVersion": 41, "panels": list(panels), **more}))
        return str(path)

    return write


@pytest.fixture
def without_promtool(monkeypatch):
    """As on a machine that has none."""
    monkeypatch.setenv("PATH", "")
