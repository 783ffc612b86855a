"""Budgets in processes that are forked off: their reservations, their ends, and what their parent was just doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support import alone
from support.budget_setup import START
from support.forks import in_a_child
from support.ledger_calls import settle
from support.redis_fleets import cluster_fleet, sentinel_fleet
from support.servers import redis_server

from llmmetrics import BudgetExceeded
from llmmetrics.budgets.ledgers import Basis, CallId, open_ledger
from llmmetrics.metrics.registry import PICO
from llmmetrics.settings.windows import ResetPeriod, WindowSchedule
from llmmetrics.system import processes

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

DAY = WindowSchedule(ResetPeriod.DAILY).window(START)


# ids


@pytest.mark.parametrize("mode", ["strict", "documented"])
def test_children_with_the_same_pid_are_booked_each(made, tmp_path, mode):
    """The system gives a pid again when its process has ended."""
    setup = made("12", ledger=f"sqlite:///{tmp_path}/ledger.db", Mode=mode)

    def act():
        processes.pid = 4711
        try:
            return setup.call(max_tokens=3).status_code == 200
        except BudgetExceeded:
            return 2

    assert [in_a_child(act) for _ in range(6)] == [1, 1, 1, 1, 2, 2]
    assert setup.spent == 12


def test_a_child_and_its_parent_have_ids_of_their_own(made, tmp_path):
    setup = made("100", ledger=f"sqlite:///{tmp_path}/ledger.db", Mode="strict")
    pid = processes.pid

    def act():
        processes.pid = pid
        return setup.call(max_tokens=3).status_code == 200

    assert in_a_child(act) == 1
    setup.call(max_tokens=3)
    assert setup.spent == 6


def test_the_child_of_a_child_has_ids_of_its_own(made, tmp_path):
    setup = made("100", ledger=f"sqlite:///{tmp_path}/ledger.db", Mode="strict")

    def call():
        processes.pid = 4711
        return setup.call(max_tokens=3).status_code == 200

    assert in_a_child(lambda: in_a_child(call) + call()) == 2
    assert setup.spent == 6


# threads of the parent

_forking = threading.Event()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_forking.set)


@pytest.mark.parametrize("verb", ["settle", "reserve", "balance"])
def test_a_thread_inside_sqlite_at_the_fork_does_no_harm(tmp_path, verb):
    """It is in the middle of a transaction when the fork begins."""
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db", namespace="default")
    inside = threading.Event()
    _forking.clear()

    def act(db):
        db.execute("INSERT INTO corrections VALUES ('reset', 'n', 0, 'a', 0)")
        inside.set()
        _forking.wait(60)
        # let the thread that forks go first
        for _ in range(1000):
            db.execute("SELECT count(*) FROM corrections")

    ask = {
        "settle": lambda: ledger.settle("b", CallId("x", 0), 5, Basis.KNOWN, START, DAY).spent == 5,
        "reserve": lambda: ledger.reserve("b", DAY, 5, 10, CallId("x", 0), START, 0, 60).admitted,
        "balance": lambda: ledger.balance("b", DAY, 0).spent == 0,
    }[verb]
    thread = threading.Thread(target=ledger._file.write, args=(act,))
    thread.start()
    assert inside.wait(60)
    assert in_a_child(ask) == 1
    thread.join()
    assert ask()
    ledger.close()


def test_a_child_inherits_no_connection_to_the_file(tmp_path):
    """SQLite's locks belong to a process: a child that closed its parent's connection would let them go."""
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db", namespace="default")
    ledger.settle("b", CallId("x", 0), 5, Basis.KNOWN, START, DAY)
    held = Path("/proc/self/fd")
    if not held.is_dir():
        pytest.skip("needs /proc")

    def files():
        return sum(str(tmp_path) in os.path.realpath(each) for each in held.iterdir())

    assert files() > 0
    assert in_a_child(files) == 0
    assert ledger.settle("b", CallId("y", 0), 5, Basis.KNOWN, START, DAY).spent == 10
    ledger.close()


FORKING_THREADS = """
import sys
import threading
from datetime import UTC, datetime

sys.path.insert(0, sys.argv[2])
from support.forks import in_a_child

from llmmetrics.budgets.ledgers import Basis, CallId, open_ledger
from llmmetrics.settings.windows import ResetPeriod, WindowSchedule

START = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
DAY = WindowSchedule(ResetPeriod.DAILY).window(START)
ledger = open_ledger(sys.argv[1], namespace="default")
statuses = []

def settle(name, number):
    return ledger.settle("b", CallId(name, number), 5, Basis.KNOWN, START, DAY).spent > 0

def fork(name):
    statuses.extend(in_a_child(lambda n=n: settle(name, n)) for n in range(5))

threads = [threading.Thread(target=fork, args=(name,)) for name in "ab"]
for each in threads:
    each.start()
for each in threads:
    each.join()
print(statuses == [1] * 10, ledger.balance("b", DAY, 0).spent)
"""


def test_two_threads_that_fork_at_once(tmp_path):
    # alone: filelock, which another test of this process may have loaded, refuses a second fork at once
    assert alone(FORKING_THREADS, f"sqlite:///{tmp_path}/ledger.db", str(Path(__file__).parents[2])) == "True 50\n"


@pytest.mark.parametrize("fleet_of", [None, sentinel_fleet, cluster_fleet], ids=["server", "sentinel", "cluster"])
def test_a_thread_inside_redis_py_at_the_fork_does_no_harm(tmp_path, fleet_of):
    """It has a lock that no thread of the child will let go."""
    with redis_server(tmp_path) if fleet_of is None else fleet_of(tmp_path) as server:
        ledger = open_ledger(server.url, namespace="default")
        assert settle(ledger, 5, id="w").spent == 5
        finder = ledger._servers._finder
        if fleet_of is cluster_fleet:
            lock = finder._client.get().nodes_manager._lock
        else:
            lock = finder._clients.get().redis.connection_pool._lock
        inside, over = threading.Event(), threading.Event()

        def act():
            with lock:
                inside.set()
                over.wait(60)

        thread = threading.Thread(target=act)
        thread.start()
        assert inside.wait(60)

        def child():
            signal.alarm(20)
            return settle(ledger, 5, id="x").spent == 10

        assert in_a_child(child) == 1
        over.set()
        thread.join()
        assert settle(ledger, 5, id="y").spent == 15
        ledger.close()


# ends

CHILD = """
import asyncio, sys
sys.path[:0] = {path!r}
import httpx
from support.budget_setup import Setup, URL, ASK
def new():
    return Setup("1000", ledger={ledger!r}, Mode="strict")
early = {early!r}
setup = new() if early else None
async def answer(request):
    return setup.reply(request)
async def main():
    async with httpx.AsyncClient(transport=setup.meter.async_transport(httpx.MockTransport(answer))) as client:
        await asyncio.gather(*(client.post(URL, json={{**ASK, "max_tokens": 9}}) for _ in range(50)))
def child():
    global setup
    setup = setup or new()
    asyncio.run(main())
if __name__ == "__main__":
    import {package} as package
    context = package.get_context({how!r})
    if {pool!r}:
        with context.Pool(1, maxtasksperchild=1) as pool:
            pool.apply(child)
            pool.close()
            pool.join()
    else:
        process = context.Process(target=child)
        process.start()
        process.join()
        assert process.exitcode == 0
"""


@pytest.mark.parametrize(
    ("package", "how", "early", "pool"),
    [
        ("multiprocessing", "fork", True, False),
        ("multiprocessing", "fork", True, True),
        ("multiprocessing", "forkserver", True, False),
        ("multiprocessing", "spawn", False, False),
        ("multiprocessing", "fork", False, False),
        ("billiard", "fork", True, False),
        ("billiard", "fork", False, False),
    ],
)
def test_a_child_of_multiprocessing_books_what_its_async_callers_have_spent(tmp_path, package, how, early, pool):
    if package != "multiprocessing":
        pytest.importorskip(package)
    (tmp_path / "redis").mkdir()
    program = tmp_path / "program.py"
    with redis_server(tmp_path / "redis") as server:
        program.write_text(
            CHILD.format(path=sys.path, ledger=server.url, package=package, how=how, early=early, pool=pool)
        )
        environ = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
        done = subprocess.run([sys.executable, program], capture_output=True, text=True, env=environ, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        ledger = open_ledger(server.url, namespace="default")
        assert ledger.balance("b", DAY, 0)[:2] == (150 * PICO, 0)
        ledger.close()
