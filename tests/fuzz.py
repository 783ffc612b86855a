"""`make fuzz`: mutated input for every reader, until the time is over. What fails is shrunk and kept in the corpus.

make fuzz ARGS=2h
make fuzz ARGS="5m --seed 3 --target readers"
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import re
import sys
import time
import traceback

from hypothesis import HealthCheck, Phase, given, seed, settings
from support.fuzz_targets import CORPUS, TARGETS, mutated

EXAMPLES = 200
"""Inputs of one target, before the next target's turn."""


def seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+)([smh])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write it as 30s, 5m or 2h")
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def turn(name: str, number: int, counts: dict[str, int]) -> str | None:
    """Feed one target; return the file of the input that fails, or None."""
    latest = b""

    @seed(number)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(mutated(name))
    def feed(data: bytes) -> None:
        nonlocal latest
        latest = data
        counts[name] += 1
        TARGETS[name].check(data)

    try:
        feed()
    except Exception:
        # hypothesis runs the smallest input last
        path = CORPUS / name / f"{hashlib.sha256(latest).hexdigest()[:12]}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(latest)
        sys.stdout.write(f"{name}: {path}\n{traceback.format_exc(limit=-3)}\n")
        return str(path)
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("time", nargs="?", type=seconds, default="1m")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", choices=TARGETS, action="append")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    names = options.target or list(TARGETS)
    counts = dict.fromkeys(names, 0)
    failed: set[str] = set()
    number, end = options.seed, time.monotonic() + options.time
    while time.monotonic() < end:
        for name in names:
            if (path := turn(name, number, counts)) is not None:
                failed.add(path)
        number += 1
    sys.stdout.write(f"seeds {options.seed} to {number - 1}, {options.time:.0f} s\n")
    for name, count in counts.items():
        sys.stdout.write(f"{name:12} {count:>9,} inputs\n")
    sys.stdout.write(f"{len(failed)} findings\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
