"""Measures what the installed plugin adds to a suite that does not use it: CPU time of whole pytest runs, in pairs.

`python benchmarks/presence.py [PAIRS]`. The entry points of respx and pytest-httpx2 are loaded in both runs; what they
cost by themselves is the last row.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

TESTS = 500
TARGET_MS = 10.0
NEIGHBOURS = ("-p", "no:respx", "-p", "no:pytest_httpx2")


def cpu(directory: str, *options: str) -> float:
    """Return the CPU time of one run, in milliseconds."""
    before = getrusage(RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", *options]
    # as on a user's machine: with compiled modules
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(  # noqa: S603 - this very Python
        command, cwd=directory, env=environ, check=True, capture_output=True
    )
    after = getrusage(RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


def compare(name: str, directory: str, pairs: int, with_: tuple[str, ...], without: tuple[str, ...]) -> float:
    """Print quartiles of the differences of pairs of runs, in alternating order; return the median."""
    differences = []
    for n in range(pairs):
        runs = [(cpu(directory, *with_), 1), (cpu(directory, *without), -1)] if n % 2 else None
        runs = runs or [(cpu(directory, *without), -1), (cpu(directory, *with_), 1)]
        differences.append(sum(spent * sign for spent, sign in runs))
    low, middle, high = statistics.quantiles(differences, n=4)
    print(f"{name:52} {middle:7.1f} ms  [{low:.1f}, {high:.1f}]")
    return middle


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "test_plain.py").write_text("".join(f"def test_{n}(): pass\n" for n in range(TESTS)))
        cpu(directory)
        print(f"CPU time of a suite of {TESTS} tests, the median of {pairs} pairs [quartiles]")
        noise = compare("the same against itself", directory, pairs, (), ())
        ours = compare("with pytest-llmmetrics, against without", directory, pairs, (), ("-p", "no:llmmetrics"))
        compare("with respx and pytest-httpx2, against without", directory, pairs, (), NEIGHBOURS)
        verdict = "within" if ours - noise <= TARGET_MS else "OVER"
        print(f"ours less the noise: {ours - noise:.1f} ms, {verdict} the {TARGET_MS:.0f} ms allowed")


if __name__ == "__main__":
    main()
