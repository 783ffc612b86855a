"""Budgets in processes that are forked off: their reservations, their ends, and what their parent was just doing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from support.budget_setup import START
from support.servers import redis_server

from llmmetrics import BudgetExceeded
from llmmetrics.budgets.ledgers import open_ledger
from llmmetrics.metrics.registry import NANO
from llmmetrics.settings.windows import ResetPeriod, WindowSchedule
from llmmetrics.system import processes

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

DAY = WindowSchedule(ResetPeriod.DAILY).window(START)


def in_a_child(act) -> int:
    """The exit status of a child that does this: what it returns, 99 for what it raises."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            status = act()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


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
        assert ledger.balance("b", DAY, START)[:2] == (150 * NANO, 0)
        ledger.close()
