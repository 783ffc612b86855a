"""`llmmetrics-gate` as a program: its version, and a reader that leaves."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

from pytest_llmmetrics.__main__ import UNREAD, main

GATE = [sys.executable, "-m", "pytest_llmmetrics"]


def test_its_version(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"llmmetrics-gate {version('pytest-llmmetrics')}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe of POSIX")
@pytest.mark.parametrize("command", [["diff"], ["comment"]])
def test_a_reader_that_leaves_ends_it_quietly(tmp_path, command):
    pytester = tmp_path / "test_a.py"
    pytester.write_text("def test_a(): pass\n")
    report = tmp_path / "report.json"
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--llm-report={report}", str(pytester)],
        check=True,
        cwd=tmp_path,
        capture_output=True,
    )
    reports = [str(report)] * (2 if command == ["diff"] else 1)
    running = subprocess.Popen([*GATE, *command, *reports], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    running.stdout.close()
    err = running.stderr.read()
    running.stderr.close()
    assert (running.wait(), err) == (UNREAD, b"")
