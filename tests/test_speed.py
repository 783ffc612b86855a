"""What metering adds to a call has not grown: the committed ratios of `benchmarks/ratios.toml` hold, with 25 % of room."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the committed ratios are those of Python 3.11")
@pytest.mark.skipif(sys.implementation.name != "cpython", reason="the committed ratios are those of CPython")
def test_no_row_is_a_quarter_slower():
    # a tracer would measure itself
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, BENCHMARKS / "ratios.py", "--check", "--rounds", "100"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert run.returncode == 0, run.stdout + run.stderr
