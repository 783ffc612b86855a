"""The meter, broken in many ways: the contract suites notice each of them.

LLMMETRICS_SOAK=1 pytest tests/plugin/contract/test_mutants.py -s    prints which tests caught which
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import SOAK

TESTS = Path(__file__).parents[2]
SUITES = [str(TESTS / "plugin/contract/test_good_clients.py"), "-k", "TestHttpx or TestMetrics"]
# the names alone: importing it is what breaks the meter
MUTANTS = re.findall(r"^def (\w+)\(\):$", (TESTS / "support/mutants.py").read_text("utf8"), re.MULTILINE)


def caught(mutant: str) -> list[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "support.mutants",
        "--tb=no",
        *SUITES,
    ]
    done = subprocess.run(
        [*command, f"--maxfail={3 if SOAK else 1}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=TESTS.parent,
        env={**environ, "PYTHONPATH": str(TESTS), "LLM_MUTANT": mutant},
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return re.findall(r"^FAILED \S+?::(\S+)", done.stdout, re.MULTILINE)


def test_the_suites_pass_with_a_meter_that_is_whole():
    assert caught("") == []


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_broken_meter_is_noticed(mutant):
    by = caught(mutant)
    print(f"{mutant:<26} {', '.join(by)}")  # noqa: T201
    assert by


def test_there_are_more_than_ten():
    assert len(MUTANTS) > 10
