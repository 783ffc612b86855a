"""`llmmetrics doctor` on settings, and as a person runs it: every finding is provoked for real."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from support.findings import about, only
from support.servers import free_port

from llmmetrics.cli.doctor import command as doctor
from llmmetrics.cli.main import main
from llmmetrics.cli.output.findings import Exit, Level
from llmmetrics.settings.loading import UnreadableSettingsError
from llmmetrics.system.processes import VARIABLE

OK, WARNING, ERROR = Level.OK, Level.WARNING, Level.ERROR
KEY, PASSWORD = "sk-a-key", "a-password"


@pytest.fixture
def file(tmp_path):
    def write(*backends, **sections):
        path = tmp_path / "settings.json"
        path.write_text(json.dumps({"LlmSettings": {"Backends": backends, **sections}}))
        return str(path)

    return write


KNOWN = {"Name": "a", "ModelName": "gpt-4o-mini"}
UNPRICED = {"Name": "local", "Type": "Ollama", "ModelName": "llama3.2"}


def test_without_settings():
    assert only(doctor.of_settings(None)).level is OK


def test_good_settings_are_all_ok(file):
    priced = {"CostPerMillionInputTokens": 30, "CostPerMillionOutputTokens": 60}
    findings = list(doctor.of_settings(file(KNOWN, {"Name": "b", **priced}, {"Name": "c"})))
    assert {each.level for each in findings} == {OK}
    assert about(findings, "backend 'a'").what.endswith("0.15 in and 0.6 out, USD per million tokens (catalogue)")
    assert about(findings, "backend 'b'").what.endswith("30 in and 60 out, USD per million tokens (configured)")
    assert about(findings, "backend 'c'").what.endswith("the catalogue, by the model of each call")


@pytest.mark.parametrize(
    ("prompt", "completion", "says"),
    [
        (0.15, 0.6, ""),
        (0.00000015, 0.0000006, "the catalogue says 0.15 in and 0.6 out: check which price is on your bill"),
    ],
)
def test_a_price_is_compared_with_the_catalogue(file, prompt, completion, says):
    own = {"CostPerMillionInputTokens": prompt, "CostPerMillionOutputTokens": completion}
    finding = about(doctor.of_settings(file({**KNOWN, **own})), "the price of")
    assert (finding.level, finding.do) == (OK, says)


def test_each_wrong_key_is_a_line(file):
    findings = list(doctor.of_settings(file({"Name": "a", "Modelname": KEY}, Telemetri={})))
    assert [each.level for each in findings] == [ERROR, ERROR]
    assert "did you mean ModelName?" in findings[0].what
    assert "did you mean Telemetry?" in findings[1].what


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UnreadableSettingsError, match="cannot be read"):
        list(doctor.of_settings(str(tmp_path / "no.json")))


def test_settings_that_cannot_be_read_leave_the_rest_said(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert main(["doctor", str(tmp_path / "no.json"), "--port", str(free_port())]) == Exit.CANNOT_LOOK
    *rest, last = capsys.readouterr().out.splitlines()
    assert last.startswith("error    ")
    assert "cannot be read" in last
    assert any("is free" in each for each in rest)


def test_metrics_that_are_off(file):
    findings = doctor.of_settings(file(KNOWN, Telemetry={"EnableMetrics": False}))
    assert about(findings, "EnableMetrics") == (
        ERROR,
        "Telemetry.EnableMetrics is false, so nothing is exported",
        "set it to true",
    )


@pytest.mark.parametrize(("on", "says"), [(True, "logger llmmetrics.calls"), (False, "set it to true to check costs")])
def test_logging_of_tokens(file, on, says):
    finding = about(doctor.of_settings(file(KNOWN, Telemetry={"LogTokenCounts": on})), "LogTokenCounts")
    assert finding.level is OK
    assert says in finding.do


@pytest.mark.parametrize(("most", "level"), [(100, OK), (5000, WARNING)])
def test_the_number_of_models(file, most, level):
    finding = about(doctor.of_settings(file(KNOWN, Telemetry={"MaxModelsPerBackend": most})), "MaxModelsPerBackend")
    assert finding.level is level
    assert str(most) in finding.what


def test_no_backends(file):
    assert about(doctor.of_settings(file()), "no Backends").level is WARNING


def test_a_model_without_a_price(file):
    finding = about(doctor.of_settings(file(UNPRICED)), "no price is known")
    assert finding.level is WARNING
    assert "'llama3.2' at backend 'local'" in finding.what
    assert "CostPerMillionInputTokens and CostPerMillionOutputTokens" in finding.do


def test_a_backend_that_is_nowhere(file):
    finding = about(doctor.of_settings(file({"Name": "x", "Type": "GenericOpenAI"})), "BaseUrl")
    assert finding.level is WARNING


def test_a_limit(file):
    finding = about(doctor.of_settings(file({**KNOWN, "MaxSpendUsd": 10, "SpendResetPeriod": "Daily"})), "has a limit")
    assert finding.level is OK
    assert "10 USD (Daily, UTC), kept on this machine only" in finding.what


@pytest.mark.parametrize(("ledger", "where"), [("memory://", "in this process only"), ("redis://h", "in Redis")])
def test_where_a_limit_is_kept(file, ledger, where):
    path = file({**KNOWN, "MaxSpendUsd": 10}, Budget={"Ledger": ledger})
    assert about(doctor.of_settings(path), "has a limit").what.endswith(f"kept {where}")


@pytest.mark.parametrize(("choice", "levels"), [("refuse", [ERROR]), ("warn", [])])
def test_a_limit_without_a_price(file, choice, levels):
    path = file({**UNPRICED, "MaxSpendUsd": 10}, Budget={"OnUnknownPrice": choice})
    assert [each.level for each in doctor.of_settings(path) if "has MaxSpendUsd" in each.what] == levels


# the command


def test_every_line_has_a_level_and_nothing_is_an_error(file, capsys, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert main(["doctor", file(KNOWN), "--port", str(free_port())]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert all(re.match(r"(ok {7}|warning {2})\S", line) for line in out.splitlines())


def test_an_error_exits_with_1(file, capsys):
    assert main(["doctor", file(KNOWN, Telemetry={"EnableMetrics": False}), "--port", str(free_port())]) == 1
    assert "\nerror    Telemetry.EnableMetrics is false" in capsys.readouterr().out


def test_no_secret_is_shown(file, capsys, monkeypatch):
    monkeypatch.setenv("A_KEY", KEY)
    url = f"https://u:{PASSWORD}@gateway.example/v1?key={KEY}"
    good = file(
        {**KNOWN, "ApiKey": "${A_KEY}", "BaseUrl": url, "MaxSpendUsd": 1}, Budget={"Ledger": f"redis://:{PASSWORD}@x"}
    )
    main(["doctor", good, "--port", str(free_port())])
    main(["doctor", file({**KNOWN, "ApiKey": [KEY], "BaseUrl": f"ftp://u:{PASSWORD}@x"}), "--port", str(free_port())])
    text = "".join(capsys.readouterr())
    assert KEY not in text
    assert PASSWORD not in text


@pytest.mark.parametrize("arguments", [["--port", "http"], ["--port", "0"], ["--port", "65536"], ["a", "b"], ["--no"]])
def test_a_wrong_call_exits_with_2(arguments):
    with pytest.raises(SystemExit) as caught:
        main(["doctor", *arguments])
    assert caught.value.code == 2


def test_as_a_program(tmp_path):
    command = [sys.executable, "-m", "llmmetrics", "doctor", "--port", str(free_port())]
    environ = {**os.environ, VARIABLE: str(tmp_path / "no")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert (done.returncode, done.stderr) == (1, "")
    assert f"error    {VARIABLE}=" in done.stdout
    assert "no settings given" in done.stdout
