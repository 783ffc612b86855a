"""What the documentation shows works, and names what there is."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from llmmetrics.loading import load
from llmmetrics.metrics import ROWS
from llmmetrics.settings import Backend, Budget, Health, Settings, Telemetry

pytest_plugins = ["pytester"]
ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_readmes_settings_are_settings():
    (text,) = blocks("json")
    assert load(json.loads(text), {"OPENAI_API_KEY": "sk-x"}).backends[0].name == "openai-primary"


def test_the_readmes_application_runs(tmp_path, monkeypatch):
    pytest.importorskip("openai")
    (settings,) = blocks("json")
    code = next(block for block in blocks("python") if "start_http_server" in block)
    (tmp_path / "settings.json").write_text(settings)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    one = next(block for block in blocks("python") if "meter.wrap(" in block)
    scope: dict = {}
    try:
        exec(code.replace("meter.start", "server, thread = meter.start").replace("port=5000", "port=0"), scope)
        scope["server"].shutdown()
        scope["server"].server_close()
        for line in one.splitlines():
            exec(line, scope)
            if client := scope.pop("client", None):
                assert client._client._transport.meter is scope["meter"]
                client.close()
    finally:
        scope["llmmetrics"].uninstrument()


def test_the_readmes_test_passes(pytester):
    pytester.makepyfile(next(block for block in blocks("python") if "def test_" in block))
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


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
        for name in ("doctor", "endpoint", "surroundings", "workers")
        for node in ast.walk(ast.parse((ROOT / f"runtime/llmmetrics/{name}.py").read_text("utf8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "docs/troubleshooting.md").read_text("utf8"), re.MULTILINE)
    quoted = [each for row in rows for each in re.findall(r"`(.*?)`", row)]
    assert len(quoted) > 20
    assert [each for each in quoted if not any(each in text for text in said)] == []


def test_the_documentation_links_to_what_there_is():
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!http)([^)#]+)", path.read_text("utf8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


SHOWN = {
    "testing": ["test_tokens.py", "test_failures.py", "test_budgets.py"],
    "cassettes": ["test_cassettes.py"],
    "contracts": ["test_contracts.py"],
}


@pytest.mark.parametrize("page", SHOWN)
def test_the_documentation_shows_the_examples_themselves(page):
    text = (ROOT / f"docs/{page}.md").read_text("utf8")
    shown = re.findall(r"<!-- (\S+) -->\n```python\n(.*?)```", text, re.DOTALL)
    assert [name for name, _ in shown] == SHOWN[page]
    for name, code in shown:
        assert code == (ROOT / "docs/examples" / name).read_text("utf8")


def test_an_example_is_short():
    for path in (ROOT / "docs/examples").glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                assert node.end_lineno - node.lineno < 12, node.name


def test_every_fault_is_documented():
    from pytest_llmmetrics import faults

    text = (ROOT / "docs/testing.md").read_text("utf8")
    for name, fault in faults.FAULTS.items():
        assert getattr(faults, name.upper()) is fault
        kind = f"`{fault.error_type}`" if fault.error_type else ""
        assert f"| `{name.upper()}` | `{fault.status}` | {kind} |" in text


def test_every_check_of_the_contract_is_documented():
    from llmmetrics.testing.contract_checks import CHECKS
    from pytest_llmmetrics.contract import LlmClientContract

    text = (ROOT / "docs/contracts.md").read_text("utf8")
    assert [name for name in CHECKS if f"`{name}`" not in text] == []
    tests = re.findall(r"`(test_\w+)", text)
    assert [name for name in vars_of(LlmClientContract, "test_") if not name.startswith(tuple(tests))] == []
    declared = {name for each in LlmClientContract.__mro__ for name in vars(each).get("__annotations__", ())}
    assert [name for name in declared if f"| `{name}` |" not in text] == []


def vars_of(owner: type, prefix: str) -> list[str]:
    return [name for name in dir(owner) if name.startswith(prefix)]
