"""Makes 200,000 calls on one ledger: what a call takes, and what the ledger keeps, in the first and the last tenth.

Neither should grow: a ledger keeps sums, not calls. Owners change, as short-lived processes do. All calls are in one
quarter of an hour: each further quarter adds one row.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from pathlib import Path

from ledgers import LEASE, LIMIT, NOW, UPTIME, ready, redis_server
from redis import Redis

from llmmetrics.budgets.ledgers import Basis, CallId, Ledger, open_ledger
from llmmetrics.settings.windows import ResetPeriod, WindowSchedule

DAY = WindowSchedule(ResetPeriod.DAILY)
TENTHS = 10
A_LIFE = 1000
"""Calls of one owner."""


def spend(ledger: Ledger, calls: int, kept: Callable[[], float]) -> list[tuple[float, float]]:
    """Make the calls within a quarter of an hour; return what a call takes and what is kept, tenth by tenth."""
    numbers, tenths = count(), []
    pause = timedelta(minutes=14) / calls
    for _ in range(TENTHS):
        start = time.perf_counter()
        for _ in range(calls // TENTHS):
            n = next(numbers)
            at = NOW + n * pause
            call, window = CallId(f"owner{n // A_LIFE}", n % A_LIFE), DAY.window(at)
            ledger.reserve("backend", window, 10, LIMIT, call, at, UPTIME, LEASE)
            ledger.settle("backend", call, 7, Basis.KNOWN, at, window)
            if n % A_LIFE == A_LIFE - 1:
                ledger.retire("backend", call.owner)
        tenths.append(((time.perf_counter() - start) / (calls // TENTHS) * 1e6, kept()))
    return tenths


def show(name: str, unit: str, tenths: list[tuple[float, float]]) -> None:
    (time_first, kept_first), (time_last, kept_last) = tenths[0], tenths[-1]
    print(f"{name:8} us a call: first tenth {time_first:.1f}, last {time_last:.1f} ({time_last / time_first:.2f} x)")
    print(f"{name:8} {unit}: first tenth {kept_first:.1f}, last {kept_last:.1f} ({kept_last / kept_first:.2f} x)")


def kept(client: Redis) -> float:
    """Return the KiB of every key."""
    return sum(client.memory_usage(key, samples=0) for key in client.scan_iter()) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200_000)
    calls = parser.parse_args().calls
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ledger.db"
        ledger = open_ledger(f"sqlite:///{path}", namespace="bench")
        files = (path, path.with_name(f"{path.name}-wal"))
        show("sqlite", "KiB", spend(ledger, calls, lambda: sum(each.stat().st_size for each in files) / 1024))
        with redis_server(directory) as url:
            if url is None:
                print("redis: not measured, no redis-server is installed: apt install redis-server")
                return
            client = Redis.from_url(url)
            ready(client)
            ledger = open_ledger(url, namespace="bench")
            show("redis", "KiB", spend(ledger, calls, lambda: kept(client)))


if __name__ == "__main__":
    main()
