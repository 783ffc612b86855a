"""The documentation names every option, fixture, fault and test of the plugin."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from llmmetrics.metrics.definitions import ROWS
from llmmetrics.settings.model import Backend, Budget, Health, Settings, Telemetry

ROOT = Path(__file__).resolve().parents[2]


def test_every_family_is_documented():
    text = (ROOT / "docs/metrics.md").read_text("utf8")
    for row in ROWS.values():
        assert f"`{row.name}" in text
        for label in row.labels:
            assert label in text


@pytest.mark.parametrize("section", [Settings, Telemetry, Health, Budget, Backend])
def test_every_setting_is_documented(section):
    text = (ROOT / "docs/settings.md").read_text("utf8")
    for field in section.model_fields.values():
        assert field.alias in text


def test_the_doctor_says_what_the_troubleshooting_quotes():
    said = [
        node.value
        for name in (
            *("cli/doctor/command", "cli/doctor/endpoint", "cli/doctor/environment"),
            *("budgets/from_settings", "system/processes"),
        )
        for node in ast.walk(ast.parse((ROOT / f"runtime/llmmetrics/{name}.py").read_text("utf8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "docs/troubleshooting.md").read_text("utf8"), re.MULTILINE)
    quoted = [each for row in rows for each in re.findall(r"`(.*?)`", row)]
    assert len(quoted) > 20
    assert [each for each in quoted if not any(each in text for text in said)] == []


def test_an_example_is_short():
    for path in (ROOT / "docs/examples").glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                assert node.end_lineno - node.body[0].lineno < 12, node.name


def test_every_fault_has_its_documented_name():
    from pytest_llmmetrics import faults

    for name, fault in faults.FAULTS.items():
        assert getattr(faults, name.upper()) is fault


def test_every_check_of_the_contract_is_documented():
    from llmmetrics.testing.contract.checks import CHECKS
    from pytest_llmmetrics.contract import LlmClientContract

    text = (ROOT / "docs/contracts.md").read_text("utf8")
    assert [name for name in CHECKS if f"`{name}`" not in text] == []
    tests = re.findall(r"`(test_\w+)", text)
    assert [name for name in vars_of(LlmClientContract, "test_") if not name.startswith(tuple(tests))] == []
    declared = {name for each in LlmClientContract.__mro__ for name in vars(each).get("__annotations__", ())}
    assert [name for name in declared if f"| `{name}` |" not in text] == []


def vars_of(owner: type, prefix: str) -> list[str]:
    return [name for name in dir(owner) if name.startswith(prefix)]
