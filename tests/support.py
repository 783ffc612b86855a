"""Where the shared material is, and how much of a long check is run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"
SOAK = bool(os.environ.get("LLMMETRICS_SOAK"))


def shared(name: str) -> Path:
    """A file of the shared material; the test is skipped where there is none."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"needs {name} of the project's shared material, which a clone alone does not have")
    return path


def alone(code: str, *arguments: str) -> str:
    """What a program prints that runs in a Python of its own, which coverage does not look into."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, env=environ
    )
    return done.stdout
