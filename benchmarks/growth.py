"""Makes 200,000 calls on one ledger: what a call takes, and what the ledger keeps, in the first and the last tenth.

Neither should grow: a ledger keeps sums, not calls. Owners change, as short-lived processes do. All calls are in one
quarter of an hour: each further quarter adds one row.

The last tenth is made in turns with the first tenth of a new ledger, in blocks, and the CPU time of this process and
of the server counts: other programs on the machine slow both down alike.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from ledgers import LEASE, LIMIT, NOW, UPTIME, ready, redis_server
from redis import Redis

from llmmetrics.budgets.ledgers import Basis, CallId, Ledger, open_ledger
from llmmetrics.settings.windows import ResetPeriod, WindowSchedule

DAY = WindowSchedule(ResetPeriod.DAILY)
TENTHS = 10
A_LIFE = 1000
"""Calls of one owner."""
BLOCK = 200
"""Calls after which the other ledger has its turn."""

Seconds = Callable[[], float]


class Spender:
    """Makes calls on a ledger, one after the other."""

    def __init__(self, ledger: Ledger, calls: int, seconds: Seconds) -> None:
        self._ledger = ledger
        self._pause = timedelta(minutes=14) / calls
        self._seconds = seconds
        self._made = 0

    def spend(self, calls: int) -> float:
        """Make so many calls; return the seconds that they took."""
        ledger, start = self._ledger, self._seconds()
        for n in range(self._made, self._made + calls):
            at = NOW + n * self._pause
            call, window = CallId(f"owner{n // A_LIFE}", n % A_LIFE), DAY.window(at)
            ledger.reserve("backend", window, 10, LIMIT, call, at, UPTIME, LEASE)
            ledger.settle("backend", call, 7, Basis.KNOWN, at, window)
            if n % A_LIFE == A_LIFE - 1:
                ledger.retire("backend", call.owner)
        self._made += calls
        return self._seconds() - start


def compare(name: str, old: Spender, new: Spender, calls: int, kept: Callable[[], float]) -> None:
    """Show the first and the last tenth. `kept` returns KiB of the old one."""
    a_tenth = calls // TENTHS
    old.spend(a_tenth)
    kept_first = kept()
    old.spend(calls - 2 * a_tenth)
    # pairs of blocks, first of the new one, then of the old one
    first, last = (
        sum(each) / a_tenth * 1e6
        for each in zip(*((new.spend(BLOCK), old.spend(BLOCK)) for _ in range(a_tenth // BLOCK)), strict=True)
    )
    kept_last = kept()
    print(f"{name:8} us of CPU a call: first tenth {first:.1f}, last {last:.1f} ({last / first:.2f} x)")
    print(f"{name:8} KiB: first tenth {kept_first:.1f}, last {kept_last:.1f} ({kept_last / kept_first:.2f} x)")


def size(client: Redis, namespace: str) -> float:
    """Return the KiB of every key of a namespace."""
    return sum(client.memory_usage(key, samples=0) for key in client.scan_iter(f"*{namespace}*")) / 1024


def cpu(client: Redis) -> float:
    """Return the seconds of CPU of this process and of the server."""
    used = client.info("cpu")
    return time.process_time() + used["used_cpu_user"] + used["used_cpu_sys"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200_000)
    calls = parser.parse_args().calls
    with tempfile.TemporaryDirectory() as directory:
        paths = [Path(directory) / f"{name}.db" for name in ("old", "new")]
        spenders = [
            Spender(open_ledger(f"sqlite:///{path}", namespace="bench"), calls, time.process_time) for path in paths
        ]
        files = (paths[0], paths[0].with_name(f"{paths[0].name}-wal"))
        compare("sqlite", *spenders, calls, lambda: sum(each.stat().st_size for each in files) / 1024)
        with redis_server(directory) as url:
            if url is None:
                print("redis: not measured, no redis-server is installed: apt install redis-server")
                return
            client = Redis.from_url(url)
            ready(client)
            spenders = [
                Spender(open_ledger(url, namespace=name), calls, lambda: cpu(client)) for name in ("old", "new")
            ]
            compare("redis", *spenders, calls, lambda: size(client, "old"))


if __name__ == "__main__":
    main()
