"""Measures what a budget's ledger adds to a call, reserve + settle, next to its allowed maximum.

The median of blocks, in microseconds, and their quartiles. Redis is a server of the benchmark's own, compared with two
bare calls of the same client; the processes that share an SQLite file are asked for their longest wait.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import socket
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

_ids = count()


def pair(ledger: Ledger, amount: int, id: str) -> None:
    """Reserve and settle one call: reserve its possible cost (0 in mode `documented`), book its actual cost."""
    call = CallId("bench", int(id))
    ledger.reserve("backend", WINDOW, amount, LIMIT, call, NOW, UPTIME, LEASE)
    ledger.settle("backend", call, 7, Basis.KNOWN, NOW, WINDOW)


def blocks(act: Callable[[str], object], rounds: int, calls: int) -> list[float]:
    """Return the microseconds of one call, block by block, without the first block."""
    times = []
    for _ in range(rounds + 1):
        ids = [f"{next(_ids)}" for _ in range(calls)]
        start = time.perf_counter()
        for id in ids:
            act(id)
        times.append((time.perf_counter() - start) / calls * 1e6)
    return times[1:]


def show(name: str, times: list[float], target: str = "") -> float:
    low, middle, high = statistics.quantiles(times, n=4)
    print(f"{name:44} {middle:9.2f} [{low:.2f}, {high:.2f}]  {target}")
    return middle


def both(name: str, ledger: Ledger, rounds: int, calls: int, target: str = "") -> None:
    show(f"{name}, strict", blocks(lambda each: pair(ledger, 10, each), rounds, calls), target)
    show(f"{name}, documented", blocks(lambda each: pair(ledger, 0, each), rounds, calls))


def waits(url: str, calls: int, start: object, queue: object) -> None:
    """Return the longest call of one process, in milliseconds."""
    ledger = open_ledger(url, namespace="bench")
    first = multiprocessing.current_process().pid or 0
    first *= 10**6
    pair(ledger, 10, str(first))
    start.wait()
    longest = 0.0
    for n in range(calls):
        begun = time.perf_counter()
        pair(ledger, 10, str(first + n + 1))
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
    """Measure our ledger and two bare calls of the same client, in turns."""
    client = Redis.from_url(url)
    ready(client)
    ledger = open_ledger(url, namespace="bench")
    bare = client.register_script("return 1")

    def twice(_: str) -> None:
        bare()
        bare()

    plain, strict, documented = [], [], []
    for _ in range(rounds):
        plain += blocks(twice, 1, calls)
        strict += blocks(lambda each: pair(ledger, 10, each), 1, calls)
        documented += blocks(lambda each: pair(ledger, 0, each), 1, calls)
    two = show("redis, two bare calls", plain)
    ours = show("redis, strict", strict, "at most 1.25 x two bare calls")
    show("redis, documented", documented)
    print(f"{'redis, strict / two bare calls':44} {ours / two:9.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    print(f"{'microseconds, reserve + settle':44} {'median':>9} [quartiles]")
    both("memory", open_ledger("memory://", namespace="bench"), rounds, 2000, "at most 2")
    with tempfile.TemporaryDirectory() as directory:
        for durability, target in (("normal", "at most 60"), ("full", "")):
            url = f"sqlite:///{Path(directory) / durability}.db"
            both(
                f"sqlite {durability}", open_ledger(url, namespace="bench", durability=durability), rounds, 200, target
            )
        contended(f"sqlite:///{Path(directory) / 'shared'}.db", 100 * rounds)
        with redis_server(directory) as url:
            if url is None:
                print("redis: not measured, no redis-server is installed: apt install redis-server")
            else:
                compare(url, rounds, 100)


if __name__ == "__main__":
    main()
