"""The distributions as they are released, and environments like a user's."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

from support.documentation import ROOT

OURS = ("COV", "LLM", "PYTEST", "PYTHON", "VIRTUAL_ENV")
"""Prefixes of environment variables of this run that a user does not have."""


def run(*command: str | Path, cwd: Path, fails: bool = False, **environ: str) -> str:
    """Run a program without the environment variables of this test run; return its output."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, capture_output=True, text=True, env={**inherited, **environ}, check=False
    )
    assert bool(done.returncode) is fails, f"exit code {done.returncode} of {command}:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


class Environment:
    """An environment with our distributions and their dependencies only."""

    def __init__(self, place: Path) -> None:
        self.bin = place / ("Scripts" if sys.platform == "win32" else "bin")
        self.python = self.bin / "python"

    def run(self, program: str, *arguments: str, cwd: Path, fails: bool = False) -> str:
        """Run one of its programs; return its output."""
        path = os.pathsep.join((str(self.bin), os.environ["PATH"]))
        return run(self.bin / program, *arguments, cwd=cwd, fails=fails, PATH=path, HOME=str(cwd))


def unpack(archive: Path, place: Path) -> None:
    """Unpack the sources of a distribution."""
    with tarfile.open(archive) as packed:
        # before 3.11.4, Python has no filters
        packed.extraction_filter = getattr(tarfile, "data_filter", None)
        packed.extractall(place)


def build(source: Path, dist: Path, unpacked: Path) -> None:
    """Build the sdist of a project, and the wheel from the sdist: a file missing in the first is missing in both."""
    hatch = (sys.executable, "-m", "hatchling", "build", "-d", dist, "-t")
    run(*hatch, "sdist", cwd=source)
    name = "llmmetrics" if source.name == "runtime" else "pytest_llmmetrics"
    unpack(next(dist.glob(f"{name}-*.tar.gz")), unpacked)
    run(*hatch, "wheel", cwd=next(unpacked.glob(f"{name}-*")))


def environment(place: Path, *requirements: str | Path) -> Environment:
    """Make a new environment with these distributions."""
    uv = Path(sys.executable).with_name("uv")
    run(uv, "venv", "--quiet", "--python", sys.executable, place, cwd=place.parent)
    asked = ("--python", place, "--constraint", ROOT / "constraints.txt", *requirements)
    run(uv, "pip", "install", "--quiet", *asked, cwd=place.parent)
    return Environment(place)
