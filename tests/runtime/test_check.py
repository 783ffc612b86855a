"""`llmmetrics check`, as a person runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from llmmetrics.cli import main

KEY, PASSWORD = "sk-a-key", "a-password"
BACKENDS = [
    {
        "Name": "openai-primary",
        "ModelName": "gpt-4o-mini",
        "ApiKey": "${A_KEY}",
        "MaxSpendUsd": 10.5,
        "SpendResetPeriod": "Weekly",
        "SpendResetDayOfWeek": "Sunday",
        "SpendResetTimeZone": "Europe/Vienna",
    },
    {
        "Name": "gateway",
        "Type": "Anthropic",
        "BaseUrl": f"https://someone:{PASSWORD}@gateway.example:8443/v1?key={KEY}#{KEY}",
        "ModelName": "claude-of-our-own",
        "CostPerMillionInputTokens": 30,
        "CostPerMillionOutputTokens": 0.0625,
        "MaxSpendUsd": 100,
        "SpendResetDayOfMonth": 31,
    },
    {"Name": "local", "Type": "Ollama", "ModelName": "llama3.2", "MaxSpendUsd": 1, "SpendResetPeriod": "Never"},
    {"Name": "azure", "Type": "AzureOpenAI", "DeploymentName": "gpt-4o", "ApiKey": KEY},
    {"Name": "somewhere", "Type": "GenericOpenAI"},
    {"Name": "esc\u001b[31m", "Type": "Cohere", "ModelName": "nobody\nknows"},
]


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("A_KEY", KEY)

    def write(backends, **sections):
        path = tmp_path / "settings.json"
        path.write_text(json.dumps({"LlmSettings": {"Backends": backends, **sections}}))
        return str(path)

    return write


def cells(line: str) -> list[str]:
    return [each.strip() for each in line.split("  ") if each.strip()]


def test_the_table(file, capsys):
    path = file(BACKENDS)
    assert main(["check", path]) == 0
    out, err = capsys.readouterr()
    verdict, header, *rows = out.splitlines()
    assert verdict == f"ok: {path} is valid, with 6 backends"
    assert cells(header) == ["name", "type", "base URL", "model", "price, USD per million in/out", "limit"]
    assert list(map(cells, rows)) == [
        [
            *("openai-primary", "OpenAI", "https://api.openai.com", "gpt-4o-mini", "catalogue 0.15/0.6"),
            "10.5 USD, Weekly from Sunday, Europe/Vienna",
        ],
        [
            *("gateway", "Anthropic", "https://gateway.example:8443/v1", "claude-of-our-own"),
            *("configured 30/0.0625", "100 USD, Monthly from day 31, UTC"),
        ],
        ["local", "Ollama", "http://localhost:11434", "llama3.2", "unknown", "1 USD, for ever"],
        ["azure", "AzureOpenAI", "any host of Azure", "gpt-4o", "catalogue 2.5/10", "-"],
        ["somewhere", "GenericOpenAI", "missing", "any", "catalogue, by the model asked for", "-"],
        ["esc?[31m", "Cohere", "https://api.cohere.com", "nobody?knows", "unknown", "-"],
    ]
    assert err == ""
    assert KEY not in out
    assert PASSWORD not in out


def test_each_wrong_key_is_one_sentence(file, capsys):
    wrong = [
        {"Name": "a", "Modelname": KEY, "ApiKey": KEY},
        {"Name": "b", "CostPerMilionInputTokens": 1, "BaseUrl": f"ftp://u:{PASSWORD}@x"},
    ]
    assert main(["check", file(wrong, Telemetri={})]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    first, *rest = err.splitlines()
    assert first == "llmmetrics: the settings have several errors:"
    assert [each.strip().partition(" is unknown: did you mean ")[::2] for each in rest] == [
        ("LlmSettings.Backends[0].Modelname", "ModelName?"),
        ("LlmSettings.Backends[1].CostPerMilionInputTokens", "CostPerMillionInputTokens?"),
        ("LlmSettings.Telemetri", "Telemetry?"),
    ]
    assert KEY not in err
    assert PASSWORD not in err


def test_a_wrong_value_does_not_show_it(file, capsys):
    assert main(["check", file([{"Name": "b", "BaseUrl": f"ftp://u:{PASSWORD}@x"}])]) == 1
    assert capsys.readouterr().err == (
        "llmmetrics: LlmSettings.Backends[0].BaseUrl: should be a URL that starts with http:// or https://\n"
    )


def test_a_file_that_is_not_there(tmp_path, capsys):
    assert main(["check", str(tmp_path / "no.json")]) == 1
    assert "the settings cannot be read" in capsys.readouterr().err


def test_metrics_that_are_off_are_told(file, capsys):
    assert main(["check", file([], Telemetry={"EnableMetrics": False})]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["EnableMetrics is false: no metrics are exported"]


@pytest.mark.parametrize("arguments", [["check"], ["check", "a", "b"], ["check", "--no"], []])
def test_a_wrong_call_exits_with_2(arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_as_a_program(file):
    path = file([{"Name": "a", "ModelName": "gpt-4o-mini", "ApiKey": "${A_KEY}"}])
    done = subprocess.run(
        [sys.executable, "-m", "llmmetrics.cli", "check", path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "catalogue 0.15/0.6" in done.stdout
    assert KEY not in done.stdout


def test_a_terminal_without_the_letters(file):
    done = subprocess.run(
        [sys.executable, "-m", "llmmetrics.cli", "check", file([{"Name": "Zürich"}])],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Z\\xfcrich" in done.stdout
