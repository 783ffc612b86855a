"""The shared test material, and how much of a long check is run."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import TypeVar

import pytest

Row = TypeVar("Row")

SHARED = Path(__file__).resolve().parents[3] / "shared"
SOAK = bool(os.environ.get("LLMMETRICS_SOAK"))
LONG = "takes long: make soak"
"""The reason of every skip without SOAK."""

UNUSED = ("hypothesispytest", "cassetter", "requests_mock")
"""Plugins that no session started by a test uses; to import them takes a third of the time of its start."""


def without(*plugins: str) -> str:
    """Return pytest's options that leave out these plugins."""
    return " ".join(f"-p no:{name}" for name in plugins)


def shared(name: str) -> Path:
    """Return a file of the shared material; skip the test if it does not exist."""
    path = SHARED / name
    if not path.exists():
        pytest.skip("needs the project's shared material, in ../shared: a clone alone does not have it")
    return path


def sampled(rows: Iterable[Row], covers: Callable[[Row], Iterable[Hashable]], *, whole: bool = SOAK) -> list[Row]:
    """Sample rows that cover everything that any row covers, such as pairs of values; `whole`: take all rows.

    Greedy: rows that cover most are taken first. The same rows give the same sample, in the same order.
    """
    every = list(rows)
    if whole:
        return every
    covered = {n: frozenset(covers(row)) for n, row in enumerate(every)}
    # neighbouring rows are similar: without shuffling, the sample would have only the first of each kind
    order = random.Random(0).sample(range(len(every)), len(every))
    seen: set[Hashable] = set()
    taken: list[int] = []
    for least in range(max(map(len, covered.values()), default=0), 0, -1):
        for n in order:
            if len(covered[n] - seen) >= least:
                seen |= covered[n]
                taken.append(n)
    return [every[n] for n in sorted(taken)]


def alone(code: str, *arguments: str) -> str:
    """Run a program in a separate Python, without coverage, and return its output."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, env=environ
    )
    return done.stdout
