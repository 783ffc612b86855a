"""Measures what metering adds, each row as a ratio within this process, and compares with the committed ratios.

`python benchmarks/ratios.py` prints every row. With `--check` it prints those of calls and of a scrape, and its exit
status is 1 if one is more than 25 % above `ratios.toml`. `--update` writes that file.

Other programs only ever make a block of calls slower. So a row takes the fast blocks among many short ones, of the
metered and of the plain client in turns. No other program changes the rows of `bytecodes.py`; but they are not the
whole time: to make a set of types is a few bytecodes, and slower than five look-ups.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import bytecodes
import scale
from memory_wire import CHUNKS, Block, Memory, answer, block, events, new_meter

from llmmetrics import tags

COMMITTED = Path(__file__).with_name("ratios.toml")
HEADER = """\
# The measured ratio and the target of each row. `python benchmarks/ratios.py --update` writes the first.
[rows]
"""
WORSE = 1.25
"""A row that is above its committed ratio by more has become slower."""
BARE = 70.0
"""Microseconds of the bare call to which a row in microseconds is scaled."""
LONG = 200_000


def fast(times: list[float]) -> float:
    """Return the mean of the fast times, without the very fastest."""
    times.sort()
    return statistics.mean(times[len(times) // 50 : len(times) // 5])


def added(
    chunks: list[bytes],
    rounds: int,
    calls: int,
    *,
    asynchronous: bool,
    limit: int | None = None,
    metered: bool = True,
) -> tuple[float, float]:
    """Return the seconds of a plain call, and what a metered one takes on top."""
    meter = new_meter(limit)
    wrapped = (meter.async_transport if asynchronous else meter.transport)(Memory(chunks), backend="b")
    plain = block(Memory(chunks), asynchronous=asynchronous)
    other = block(wrapped if metered else Memory(chunks), asynchronous=asynchronous)
    plain(5 * calls), other(5 * calls)
    times = [(plain(calls), other(calls)) for _ in range(rounds)]
    base = fast([each for each, _ in times])
    return base, fast([each for _, each in times]) - base


def tag(rounds: int, *, asynchronous: bool) -> float:
    """Return what a metered call with a tag takes on top of a plain one, to what one without a tag does."""

    def wrapped() -> Block:
        meter = new_meter()
        transport = (meter.async_transport if asynchronous else meter.transport)(Memory(answer(1400)), backend="b")
        return block(transport, asynchronous=asynchronous)

    plain, bare, tagged = block(Memory(answer(1400)), asynchronous=asynchronous), wrapped(), wrapped()
    times = []
    for n in range(rounds + 1):
        with tags(tenant="acme"):
            row = tagged(5)
        # the first round is for warming up
        times += [(plain(5), bare(5), row)] if n else []
    base, without, with_tag = (fast([each[n] for each in times]) for n in range(3))
    return (with_tag - base) / (without - base)


def calls(rounds: int) -> Iterator[tuple[str, float]]:
    """Yield the rows of calls."""
    base, noise = added(answer(1400), rounds, 5, asynchronous=False, metered=False)
    yield "plain against plain, µs", noise * BARE / base
    for asynchronous in (False, True):
        kind = "async" if asynchronous else "sync"
        bare, json = added(answer(1400), 2 * rounds, 5, asynchronous=asynchronous)
        yield f"JSON call, {kind}", json / bare
        _, long = added(answer(LONG), rounds, 5, asynchronous=asynchronous)
        yield f"JSON of 200 KB, {kind}, to one of 2 KB", long / json
        yield f"one tag, {kind}, to a JSON call without", tag(2 * rounds, asynchronous=asynchronous)
        _, limited = added(answer(1400), rounds, 5, asynchronous=asynchronous, limit=1_000_000)
        yield f"memory budget, {kind}, µs a call", (limited - json) * BARE / bare
        _, stream = added(events(), rounds // 4, 1, asynchronous=asynchronous)
        yield f"chunk, {kind}, µs", stream / CHUNKS * BARE / bare


def compare(rows: Callable[[], Iterator[tuple[str, float]]], committed: dict[str, list[float]]) -> dict[str, float]:
    """Print the rows with their committed ratio and their target; return those that are measured."""
    measured = {}
    for name, ratio in rows():
        before, target = committed.get(name, (None, None))
        measured[name] = ratio
        verdict = "" if target is None else "within" if ratio <= target else "OVER"
        print(f"{name:44} {ratio:8.3f} {before or '':>10} {target or '':>8} {verdict}", flush=True)
    return measured


def slower(measured: dict[str, float], committed: dict[str, list[float]]) -> list[str]:
    """List the rows that are above their committed ratio."""
    return [name for name, ratio in measured.items() if name in committed and ratio > WORSE * committed[name][0]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args()
    committed = tomllib.loads(COMMITTED.read_text())["rows"]

    def rows() -> Iterator[tuple[str, float]]:
        yield from bytecodes.rows()
        yield from calls(options.rounds)
        yield scale.scrape()
        if not options.check:
            yield from scale.rows()

    print(f"{'row':44} {'ratio':>8} {'committed':>10} {'target':>8}")
    measured = compare(rows, committed)
    if options.update:
        lines = (f'"{name}" = [{ratio:.3f}, {committed.get(name, [0, 0])[1]}]\n' for name, ratio in measured.items())
        COMMITTED.write_text(HEADER + "".join(lines))
    # a second look at what seems slower, with more rounds
    if options.check and (worse := slower(measured, committed)):
        print(f"again: {', '.join(worse)}")
        options.rounds *= 3
        again = compare(rows, committed)
        worse = [name for name in slower(again, committed) if name in worse]
        if worse:
            print(f"slower than {COMMITTED.name} says by more than 25 %: {', '.join(worse)}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
