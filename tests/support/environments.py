"""Environments of their own, for packages whose versions conflict with the tests'; kept under `.cache/`."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FRESH = 7 * 24 * 3600
"""For how many seconds the newest versions of the index at that time count as the newest."""


def environment(*packages: str) -> Path:
    """Return the Python of an environment with the newest of these packages, this runtime and this plugin.

    Skip the test if the index cannot be reached.
    """
    digest = hashlib.sha256("\n".join([sys.version, *sorted(packages)]).encode()).hexdigest()[:16]
    home = ROOT / ".cache/environments" / digest
    python = home / "bin/python"
    uv = Path(sys.executable).with_name("uv")
    ready = home / "ready"
    if not ready.exists() or time.time() - ready.stat().st_mtime > FRESH:
        subprocess.run([uv, "venv", "-q", "--clear", "--python", sys.executable, home], check=True)
        made = subprocess.run(
            [uv, "pip", "install", "-q", "--python", python, *packages, "-e", ROOT / "runtime", "-e", ROOT],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            pytest.skip(f"these packages cannot be installed: {made.stderr[-300:]}")
        ready.touch()
    return python
