"""`llmmetrics check`, as a person runs it."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from llmmetrics import ConfigError, Meter
from llmmetrics.budgets import ledgers
from llmmetrics.cli.doctor import command
from llmmetrics.cli.main import main
from llmmetrics.cli.output.findings import Exit, Level
from llmmetrics.system.processes import VARIABLE

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
    {"Name": "esc\u001b[31m", "Type": "Cohere", "ModelName": "un\nknown"},
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
    path = file(BACKENDS, Budget={"OnUnknownPrice": "warn", "Ledger": "memory://"})
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
        ["local", "Ollama", "http://localhost:11434", "llama3.2", "unknown", "1 USD, never reset"],
        ["azure", "AzureOpenAI", "any Azure host", "gpt-4o", "catalogue 2.5/10", "-"],
        ["somewhere", "GenericOpenAI", "missing", "any", "catalogue, by the model asked for", "-"],
        ["esc?[31m", "Cohere", "https://api.cohere.com", "un?known", "unknown", "-"],
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
        ("LlmSettings.Backends[1].BaseUrl: should be a URL that starts with http:// or https://", ""),
    ]
    assert KEY not in err
    assert PASSWORD not in err


def test_a_wrong_value_does_not_show_it(file, capsys):
    assert main(["check", file([{"Name": "b", "BaseUrl": f"ftp://u:{PASSWORD}@x"}])]) == 1
    assert capsys.readouterr().err == (
        "llmmetrics: LlmSettings.Backends[0].BaseUrl: should be a URL that starts with http:// or https://\n"
    )


def test_a_directory_of_the_ledger_that_cannot_be_made(file, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "file" / "x", *([Path("/proc/x")] if Path("/proc").is_dir() else [])):
        assert main(["check", file([], Budget={"Ledger": f"sqlite:///{directory}/s.db"})]) == 1
        assert "LlmSettings.Budget.Ledger: " in capsys.readouterr().err


def test_a_directory_of_the_ledger_is_tried_and_removed(file, tmp_path):
    (tmp_path / "there").mkdir()
    for name in ("a/b/c", "there/d", "there"):
        assert main(["check", file([], Budget={"Ledger": f"sqlite:///{tmp_path}/{name}/s.db"})]) == 0
    assert {each.name for each in tmp_path.rglob("*")} == {"there", "settings.json"}


def test_a_file_that_is_not_there(tmp_path, capsys):
    assert main(["check", str(tmp_path / "no.json")]) == Exit.CANNOT_LOOK
    assert "the settings cannot be read" in capsys.readouterr().err


def test_a_file_that_is_no_json(tmp_path, capsys):
    (tmp_path / "settings.json").write_text("Telemetry: {}")
    assert main(["check", str(tmp_path / "settings.json")]) == Exit.CANNOT_LOOK
    assert "settings.json:1:1: not JSON" in capsys.readouterr().err


LIMITED = {"Name": "a", "ModelName": "gpt-4o-mini", "MaxSpendUsd": 1}
OWN_MODEL = {"Name": "b", "ModelName": "of-our-own", "MaxSpendUsd": 1}
NO_METER = {
    "no scheme that is known": ([LIMITED], {"Budget": {"Ledger": "postgres://h/d"}}, "begins with postgres://"),
    "no scheme": ([LIMITED], {"Budget": {"Ledger": "spend.db"}}, "begins with no scheme"),
    "no SQLite": ([LIMITED], {"Budget": {"Ledger": "sqlite:///text.db"}}, "it is no SQLite file"),
    "a directory": ([LIMITED], {"Budget": {"Ledger": "sqlite:///directory"}}, "LlmSettings.Budget.Ledger: sqlite:///"),
    "below a file": ([LIMITED], {"Budget": {"Ledger": "sqlite:///text.db/spend.db"}}, "LlmSettings.Budget.Ledger"),
    "written by a newer one": ([LIMITED], {"Budget": {"Ledger": "sqlite:///newer.db"}}, "upgrade llmmetrics"),
    "no redis-py": ([LIMITED], {"Budget": {"Ledger": "redis://h"}}, "pip install 'llmmetrics[redis]'"),
    "a limit without a price": ([OWN_MODEL], {}, "no price is known for its model 'of-our-own'"),
    "a limit on any model at home": (
        [{"Name": "c", "Type": "Ollama", "MaxSpendUsd": 1}],
        {},
        "no price is known for a model that runs at home",
    ),
    "no price file": ([LIMITED], {"PriceFile": "none.json"}, "the price file cannot be read"),
    "a price file that is wrong": ([LIMITED], {"PriceFile": "text.db"}, "the price file cannot be read"),
}


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """The directory of the settings, without redis-py."""
    (tmp_path / "text.db").write_text("spent: 7 USD, and so on, for as long as a header of SQLite is\n" * 100)
    (tmp_path / "directory").mkdir()
    with closing(sqlite3.connect(tmp_path / "newer.db")) as db:
        db.execute("PRAGMA user_version = 99")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in [name for name in sys.modules if name.startswith("llmmetrics.budgets.ledgers.redis")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis", None)
    return tmp_path


def everything(directory):
    return {path: path.read_bytes() if path.is_file() else b"" for path in directory.rglob("*")}


@pytest.mark.parametrize(("backends", "sections", "says"), NO_METER.values(), ids=NO_METER)
def test_what_no_meter_can_be_made_of(file, directory, capsys, backends, sections, says):
    path = file(backends, **sections)
    before = everything(directory)
    assert main(["check", path]) == Exit.FINDINGS
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert len(err.splitlines()) == 1
    assert any(each.level is Level.ERROR and says in each.what for each in command.of_settings(path))
    assert not [each for each in command.of_settings(path) if "has a limit" in each.what]
    assert everything(directory) == before
    # the truth
    with pytest.raises(ConfigError, match=re.escape(says)):
        Meter.from_settings(path, registry=CollectorRegistry())


SOME_METER = {
    "a file that is there": ([LIMITED], {"Budget": {"Ledger": "sqlite:///there.db"}}),
    "a file that is not there": ([LIMITED], {"Budget": {"Ledger": "sqlite:///a/new/directory/spend.db"}}),
    "the file of this user": ([LIMITED], {}),
    "memory": ([LIMITED], {"Budget": {"Ledger": "memory://"}}),
    "unknown prices are let through": ([OWN_MODEL], {"Budget": {"OnUnknownPrice": "warn"}}),
    "nothing is refused": ([OWN_MODEL], {"Budget": {"Mode": "shadow"}}),
    "no limit": ([{**OWN_MODEL, "MaxSpendUsd": None}], {}),
}


@pytest.mark.parametrize(("backends", "sections"), SOME_METER.values(), ids=SOME_METER)
def test_what_a_meter_can_be_made_of(file, directory, capsys, backends, sections):
    ledgers.open_ledger(f"sqlite:///{directory}/there.db", namespace="default").close()
    path = file(backends, **sections)
    before = everything(directory)
    assert main(["check", path]) == Exit.FINE, capsys.readouterr()
    assert not [each for each in command.of_settings(path) if each.level is Level.ERROR]
    assert everything(directory) == before
    Meter.from_settings(path, registry=CollectorRegistry()).close()


def test_every_fault_is_named_at_once(file, directory, capsys):
    assert main(["check", file([OWN_MODEL, {**OWN_MODEL, "Name": "c"}], Budget={"Ledger": "redis://h"})]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 4


def test_a_directory_of_workers_that_is_not_there(file, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    assert main(["check", file([LIMITED])]) == Exit.FINDINGS
    assert "does not exist: create it, empty" in capsys.readouterr().err


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
        [sys.executable, "-m", "llmmetrics", "check", path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "catalogue 0.15/0.6" in done.stdout
    assert KEY not in done.stdout


def test_a_terminal_without_the_letters(file):
    done = subprocess.run(
        [sys.executable, "-m", "llmmetrics", "check", file([{"Name": "Zürich"}])],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Z\\xfcrich" in done.stdout
