"""Environments of their own, for packages whose versions conflict with the tests'; kept under `.cache/`."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def environment(*packages: str) -> Path:
    """Return the Python of an environment with these packages and this runtime; skip if the index cannot be reached."""
    digest = hashlib.sha256("\n".join([sys.version, *sorted(packages)]).encode()).hexdigest()[:16]
    home = ROOT / ".cache/environments" / digest
    python = home / "bin/python"
    uv = Path(sys.executable).with_name("uv")
    if not (home / "ready").exists():
        subprocess.run([uv, "venv", "-q", "--clear", "--python", sys.executable, home], check=True)
        made = subprocess.run(
            [uv, "pip", "install", "-q", "--python", python, *packages, "-e", ROOT / "runtime"],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            pytest.skip(f"these packages cannot be installed: {made.stderr[-300:]}")
        (home / "ready").touch()
    return python
