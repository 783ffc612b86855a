"""Runs the table with many seeds, and prints a summary: `PYTHONPATH=tests python -m support.chaos --seeds 200`.

`--only`, `--ledgers` and `--minutes` run a part of it: the summary has what was run.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple, TypeVar

from llmmetrics.metrics.registry import PICO
from support.chaos.provider import Provider
from support.chaos.scenarios import SCENARIOS
from support.chaos.stores import mounts
from support.chaos.trial import Result, Trial, Zygote, zygote

T = TypeVar("T")

REPEATS = 2
"""How often a run is repeated, at most."""


class Row(NamedTuple):
    """One run of the table."""

    name: str
    kind: str
    mode: str
    seed: int


def rows(seeds: range, only: str = "", ledgers: Collection[str] = ()) -> Iterator[Row]:
    """Yield every run."""
    for seed in seeds:
        for name, scenario in SCENARIOS.items():
            if only in name:
                for kind in (each for each in scenario.ledgers if not ledgers or each in ledgers):
                    yield from (Row(name, kind, mode, seed) for mode in scenario.modes)


class Runner:
    """Runs rows, with one provider and one program that forks.

    A run is wrong that breaks the rules; one in which Sentinel also replaced a healthy master is repeated.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stack = ExitStack()
        self._provider = self._stack.enter_context(Provider())
        self._forkers: dict[bool, Zygote] = {}
        self._number = 0
        self.repeated = 0

    def __call__(self, row: Row) -> Result:
        result = self._run(row)
        for _ in range(REPEATS):
            if not (result.violations and result.another_master_was_replaced):
                break
            self.repeated += 1
            say(f"{', '.join(map(str, row))}: repeated, {result.failovers} masters were replaced: {result.violations}")
            result = self._run(row)
        return result

    def _run(self, row: Row) -> Result:
        scenario = SCENARIOS[row.name]
        if scenario.pids not in self._forkers:
            self._forkers[scenario.pids] = self._stack.enter_context(zygote(self._directory, pids=scenario.pids))
        self._number += 1
        directory = self._directory / f"{self._number}"
        forker = self._forkers[scenario.pids]
        try:
            return Trial(scenario, row.kind, row.mode, row.seed, directory, forker, self._provider).run()
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def close(self) -> None:
        self._stack.close()


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _until_all_have_ended(done: SimpleQueue[T | None], jobs: int) -> Iterator[T]:
    while jobs:
        if (each := done.get()) is None:
            jobs -= 1
        else:
            yield each


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", default="", help="a part of a scenario's name")
    parser.add_argument("--ledgers", nargs="*", default=(), help="sqlite, redis, sentinel, sentinel2, cluster")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no run after so many minutes")
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    ends = time.monotonic() + 60 * asked.minutes
    every = list(rows(range(asked.first, asked.first + asked.seeds), asked.only, asked.ledgers))
    every = [row for row in every if mounts() or not SCENARIOS[row.name].small_disk]
    results: dict[tuple[str, str, str], list[Result]] = defaultdict(list)
    waiting: SimpleQueue[Row] = SimpleQueue()
    done: SimpleQueue[tuple[Row, Result] | None] = SimpleQueue()
    """None: a job has ended."""

    repeated: list[int] = []

    def work() -> None:
        with ExitStack() as stack, suppress(Empty):
            stack.callback(done.put, None)
            directory = stack.enter_context(tempfile.TemporaryDirectory())
            run = stack.enter_context(closing(Runner(Path(directory))))
            stack.callback(lambda: repeated.append(run.repeated))
            while time.monotonic() < ends:
                row = waiting.get_nowait()
                try:
                    result = run(row)
                except Exception as exc:
                    result = Result([repr(exc)], 0, 0, 0, 0, 0)
                done.put((row, result))

    for row in every:
        waiting.put(row)
    with ThreadPoolExecutor(asked.jobs) as pool:
        futures = [pool.submit(work) for _ in range(asked.jobs)]
        for row, result in _until_all_have_ended(done, asked.jobs):
            results[row[:3]].append(result)
            for text in result.violations:
                say(f"{row.name}, {row.kind}, {row.mode}, seed {row.seed}: {text}")
        for future in futures:
            future.result()
    heads = ("runs", "wrong", "calls", "unknown", "most lost", "most over", "paused s")
    say(f"{'scenario':36} {'ledger':8} {'mode':10} {' '.join(f'{head:>9}' for head in heads)}")
    for (name, kind, mode), own in sorted(results.items()):
        counts = (
            *(len(own), sum(bool(result.violations) for result in own)),
            *(sum(result.calls for result in own), sum(result.unknown for result in own)),
        )
        amounts = (max(result.lost for result in own), max(result.over for result in own))
        numbers = [f"{count:9}" for count in counts] + [f"{amount / PICO:9.6f}" for amount in amounts]
        numbers.append(f"{max(result.pause for result in own):9.1f}")
        say(f"{name:36} {kind:8} {mode:10} {' '.join(numbers)}")
    wrong = sum(bool(result.violations) for own in results.values() for result in own)
    say(f"{sum(map(len, results.values()))} of {len(every)} runs, {wrong} wrong, {sum(repeated)} repeated")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
