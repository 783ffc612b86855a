"""Every change that makes calls dearer is found in every style of mocking, with its cause first."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from support.styles import APP, CHANGES, MOCKS, STYLES, file_of

from llmmetrics.testing import Answer, faults, reply, serve
from pytest_llmmetrics.bill.judging.gate import verdict_of
from pytest_llmmetrics.bill.report import Report

pytest_plugins = ["pytester"]

DOC = Path(__file__).resolve().parents[3] / "docs/costs.md"

OPTIONS = ("-q", "-W", "ignore")


def provider(request):
    """Answer like a provider whose usage follows the request."""
    if b"limited" in request.body:
        return reply(request, faults.RATE_LIMIT)
    return reply(request, Answer(prompt_tokens=len(request.body) // 4))


@pytest.fixture
def suite(pytester, session):
    for recorder in ("cassetter", "vcr"):
        # sessions in this process import it once
        pytest.importorskip(recorder, reason=f"{recorder} is not installed")
    for style, text in STYLES.items():
        (pytester.path / file_of(style)).write_text(text, "utf8")
    pytester.makepyfile(mocks=MOCKS)
    (pytester.path / "change.txt").write_text("none")
    with serve(answering=provider) as server:
        (pytester.path / "url.txt").write_text(server.url)
        (pytester.path / "app.py").write_text(APP + 'recording = "once"\n', "utf8")
        assert session(*OPTIONS).ret == 0
    (pytester.path / "app.py").write_text(APP + 'recording = "none"\n', "utf8")
    return session


def test_every_change_in_every_style(suite, pytester):
    assert suite(*OPTIONS, "--llm-baseline=create").ret == 0
    done = suite(*OPTIONS, "--llm-gate")
    assert done.ret == 0, done.stdout.str()
    table = {}
    for change, words in CHANGES.items():
        (pytester.path / "change.txt").write_text(change)
        suite(*OPTIONS, "--llm-gate", "--llm-report=report.json")
        report = Report.model_validate_json((pytester.path / "report.json").read_text("utf8"))
        table[change] = {style: found(report, file_of(style), words) for style in STYLES}
    lines = [f"| change | {' | '.join(STYLES)} |", f"|---|{'---|' * len(STYLES)}"]
    lines += [f"| {change} | {' | '.join(cells.values())} |" for change, cells in table.items()]
    assert "missed" not in json.dumps(table)
    shown = "\n".join(lines)
    text = DOC.read_text("utf8")
    if os.environ.get("UPDATE_DOCS"):
        text = re.sub(r"^\| change \|(.*\n)+?(?=\n)", f"{shown}\n", text, flags=re.MULTILINE)
        DOC.write_text(text, "utf8")
    assert shown in text, "set UPDATE_DOCS=1 to write it again"


def found(report: Report, file: str, words: str) -> str:
    """Return how a change shows in a file of tests: by its first cause, by another one, or by a failed test."""
    changes = [each for each in verdict_of(report).changes if each.test.startswith(file) and each.state == "regression"]
    if any(words in each.causes[0] for each in changes):
        return "found"
    if any(words in cause for each in changes for cause in each.causes):
        return "found, not first"
    if any(outcome == "failed" for test, outcome in report.tests.items() if test.startswith(file)):
        return "the test fails"
    return "missed"
