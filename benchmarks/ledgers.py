"""Measures what a budget's ledger adds to a call, reserve + settle, next to its allowed maximum.

The median of blocks, in microseconds, and their quartiles; ratios are of the fastest blocks. What is compared is
measured in turns: SQLite with the same work in bare sqlite3, Redis with two empty scripts of the same client, and each
ledger that has 5,000 open reservations with one that has none. Processes that share a file: their longest wait.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import socket
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from llmmetrics.budgets.ledgers import Basis, CallId, Ledger, open_ledger
from llmmetrics.settings.windows import ResetPeriod, WindowSchedule

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
WINDOW = WindowSchedule(ResetPeriod.DAILY).window(NOW)
LEASE = 60.0
UPTIME = 1000.0
LIMIT = 10**15
PROCESSES = 4

Act = Callable[[], object]


def pairs(ledger: Ledger, key: str, amount: int) -> Act:
    """Make what reserves and settles one call: reserve its possible cost (0 in mode `documented`), book its actual one.

    As in a program, the calls are of one owner, whose numbers have no gap, and all calls of a limit are in one mode.
    """
    owner, numbers = f"{os.getpid()}", count()

    def act() -> None:
        call = CallId(owner, next(numbers))
        ledger.reserve(key, WINDOW, amount, LIMIT, call, NOW, UPTIME, LEASE)
        ledger.settle(key, call, 7, Basis.KNOWN, NOW, WINDOW)

    return act


def blocks(act: Act, rounds: int, calls: int) -> list[float]:
    """Return the microseconds of one call, block by block, without the first block."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        for _ in range(calls):
            act()
        times.append((time.perf_counter() - start) / calls * 1e6)
    return times[1:]


def show(name: str, times: list[float], target: str = "") -> float:
    low, middle, high = statistics.quantiles(times, n=4)
    print(f"{name:44} {middle:9.2f} [{low:.2f}, {high:.2f}]  {target}")
    return middle


def strict(ledger: Ledger) -> Act:
    return pairs(ledger, "strict", 10)


def documented(ledger: Ledger) -> Act:
    return pairs(ledger, "documented", 0)


def in_turns(rounds: int, calls: int, **acts: Act) -> dict[str, list[float]]:
    """Measure several acts, a block of each in every round."""
    times: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(rounds):
        for name, act in acts.items():
            times[name] += blocks(act, 1, calls)
    return times


def ratio(name: str, ours: list[float], other: list[float], most: float) -> None:
    """Show how many times as long as the other our act takes, by the fastest block of each: other programs only add."""
    times = min(ours) / min(other)
    print(f"{name:44} {times:9.2f}{'':18}at most {most}")


def raw_sqlite(path: Path, durability: str) -> Act:
    """Make the least that reserves and settles in an SQLite file: two transactions, a sum of what is reserved."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = wal")
    db.execute(f"PRAGMA synchronous = {durability}")
    db.execute("CREATE TABLE sums (name TEXT PRIMARY KEY, spent INTEGER, reserved INTEGER) WITHOUT ROWID")
    db.execute("CREATE TABLE held (id INTEGER PRIMARY KEY, amount INTEGER)")
    db.execute("INSERT INTO sums VALUES ('backend', 0, 0)")

    numbers = count()

    def act() -> None:
        id = next(numbers)
        db.execute("BEGIN IMMEDIATE")
        spent, reserved = db.execute("SELECT spent, reserved FROM sums WHERE name = 'backend'").fetchone()
        if spent + reserved + 10 <= LIMIT:
            db.execute("INSERT INTO held VALUES (?, 10)", (id,))
            db.execute("UPDATE sums SET reserved = reserved + 10 WHERE name = 'backend'")
        db.execute("COMMIT")
        db.execute("BEGIN IMMEDIATE")
        (amount,) = db.execute("DELETE FROM held WHERE id = ? RETURNING amount", (id,)).fetchone()
        db.execute("UPDATE sums SET spent = spent + 7, reserved = reserved - ? WHERE name = 'backend'", (amount,))
        db.execute("COMMIT")

    return act


def sqlite(directory: Path, durability: str, rounds: int, calls: int) -> None:
    """Compare our file with a bare one."""
    ledger = open_ledger(f"sqlite:///{directory / durability}.db", namespace="bench", durability=durability)
    raw = raw_sqlite(directory / f"raw-{durability}.db", durability)
    times = in_turns(rounds, calls, raw=raw, strict=strict(ledger), documented=documented(ledger))
    for name in times:
        show(f"sqlite {durability}, {name}", times[name])
    ratio(f"sqlite {durability}, strict / raw", times["strict"], times["raw"], 2.0)
    ratio(f"sqlite {durability}, documented / raw", times["documented"], times["raw"], 1.3)


OPEN = 5000


def crowded(name: str, url: str, rounds: int, calls: int) -> None:
    """Compare a ledger that has many open reservations with one that has none."""
    empty, full = (open_ledger(url, namespace=f"bench-{n}") for n in (0, OPEN))
    for n in range(OPEN):
        full.reserve("strict", WINDOW, 1, LIMIT, CallId("open", n), NOW, UPTIME, 10**6)
    times = in_turns(rounds, calls, empty=strict(empty), full=strict(full))
    show(f"{name}, {OPEN} open reservations, strict", times["full"])
    ratio(f"{name}, {OPEN} open / none", times["full"], times["empty"], 1.2)


def waits(url: str, calls: int, start: object, queue: object) -> None:
    """Return the longest call of one process, in milliseconds."""
    ledger = open_ledger(url, namespace="bench")
    act = strict(ledger)
    act()
    start.wait()
    longest = 0.0
    for _ in range(calls):
        begun = time.perf_counter()
        act()
        longest = max(longest, time.perf_counter() - begun)
    queue.put(longest * 1000)


def contended(url: str, calls: int) -> None:
    context = multiprocessing.get_context("spawn")
    start, queue = context.Barrier(PROCESSES), context.Queue()
    processes = [context.Process(target=waits, args=(url, calls, start, queue)) for _ in range(PROCESSES)]
    for each in processes:
        each.start()
    longest = max(queue.get(timeout=600) for _ in processes)
    for each in processes:
        each.join()
    print(f"{f'sqlite, {PROCESSES} processes: the longest wait, ms':44} {longest:9.2f}  at most 100")


@contextmanager
def redis_server(directory: str) -> Iterator[str | None]:
    """Run a server inside the block; yield its URL, or None if no server is installed."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", directory, "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:  # noqa: S603 - found on this machine
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.kill()


def ready(client: Redis) -> None:
    """Wait for a server to start."""
    for _ in range(500):
        with suppress(RedisConnectionError):
            client.ping()
            return
        time.sleep(0.02)


def compare(url: str, rounds: int, calls: int) -> None:
    """Compare our ledger with two empty scripts of the same client."""
    client = Redis.from_url(url)
    ready(client)
    ledger = open_ledger(url, namespace="bench")
    bare = client.register_script("return 1")

    def twice() -> None:
        bare()
        bare()

    times = in_turns(rounds, calls, bare=twice, strict=strict(ledger), documented=documented(ledger))
    show("redis, two empty scripts", times["bare"])
    for name in ("strict", "documented"):
        show(f"redis, {name}", times[name])
        ratio(f"redis, {name} / two empty scripts", times[name], times["bare"], 1.25)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    print(f"{'microseconds, reserve + settle':44} {'median':>9} [quartiles]")
    memory = open_ledger("memory://", namespace="bench")
    show("memory, strict", blocks(strict(memory), rounds, 2000), "at most 2")
    show("memory, documented", blocks(documented(memory), rounds, 2000))
    crowded("memory", "memory://", rounds, 2000)
    with tempfile.TemporaryDirectory() as directory:
        for durability in ("normal", "full"):
            sqlite(Path(directory), durability, rounds, 50)
        crowded("sqlite", f"sqlite:///{Path(directory) / 'crowded'}.db", rounds, 50)
        contended(f"sqlite:///{Path(directory) / 'shared'}.db", 100 * rounds)
        with redis_server(directory) as url:
            if url is None:
                print("redis: not measured, no redis-server is installed: apt install redis-server")
            else:
                compare(url, rounds, 50)
                crowded("redis", url, rounds, 50)


if __name__ == "__main__":
    main()
