"""Leases in real time: of a process that dies, under clocks that jump, after a restart of the machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from redis import Redis
from support.budget_setup import START
from support.ledger_calls import LEASE, NEVER, NOW, UPTIME, balance, call_id, renew, reserve, settle
from support.servers import redis_server, until

from llmmetrics.budgets.ledgers import open_ledger, sqlite
from llmmetrics.settings.windows import ResetPeriod, WindowSchedule

DAY = WindowSchedule(ResetPeriod.DAILY).window(START)

HOLD = """
import sys
sys.path[:0] = {path!r}
from support.budget_setup import Setup
setup = Setup("100", ledger={ledger!r}, Mode="strict", LeaseSeconds=1)
def answer(request):
    print("held", flush=True)
    sys.stdin.read()
setup.answer = answer
setup.call(max_tokens=40)
"""


@pytest.fixture(params=["sqlite", "redis"])
def url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/ledger.db"
        return
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as server:
        yield server.url


def test_another_process_books_the_call_of_a_killed_one_without_a_call_of_its_own(made, tmp_path, url):
    code = HOLD.format(path=sys.path, ledger=url)
    environ = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    )
    assert child.stdout.readline() == "held\n"
    setup = made("100", ledger=url, Mode="strict", LeaseSeconds=1)
    ledger = open_ledger(url, namespace="default")
    uptime = setup.clock.uptime
    # the first call starts its thread
    setup.call(max_tokens=3)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdin.close()
    child.stdout.close()
    # its own thread asks: the test does not
    expired = setup.meter.engine.families["expired"]._value
    setup.clock.advance(seconds=2)
    until(lambda: expired.get() == 1, "the end of the lease")
    found = ledger.balance("b", DAY, uptime())
    assert (found.reserved, found.worst_case) == (0, 40 * 10**12)
    ledger.close()


def test_a_server_whose_clock_jumps_ends_no_lease_early(tmp_path):
    """A failover to a master that is ahead: the age grows by a tenth of a lease at most, each time."""
    with redis_server(tmp_path) as server, Redis.from_url(server.url, decode_responses=True) as client:
        ledger = open_ledger(server.url, namespace="n")
        reserve(ledger, 60, id="a")
        for jump in (7_200_000, -3_000, 86_400_000, -7_200_000):
            age, last, rest = client.hget("llmmetrics:{n:b}:meta", "head").split(" ", 2)
            client.hset("llmmetrics:{n:b}:meta", "head", f"{age} {int(last) - jump} {rest}")
            assert (balance(ledger).reserved, balance(ledger).expired) == (60, 0)
        # the fourth part of a lease, and what the test takes
        age = int(client.hget("llmmetrics:{n:b}:meta", "head").split(" ")[0])
        assert age <= 2 * LEASE * 1000 // 10 + 30_000
        ledger.close()


def test_reservations_of_an_earlier_start_of_the_machine_have_a_whole_lease(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path}/ledger.db"
    before = open_ledger(url, namespace="n")
    reserve(before, 60, id="a", uptime=UPTIME)
    reserve(before, 5, id="b", uptime=1.0)
    before.close()
    monkeypatch.setattr(sqlite, "BOOT", "another")
    after = open_ledger(url, namespace="n")
    # the clock of this start is far behind, or ahead
    assert balance(after, uptime=500.0).reserved == 65
    assert balance(after, uptime=500.0 + LEASE - 1).reserved == 65
    found = balance(after, uptime=500.0 + LEASE)
    assert (found.reserved, found.worst_case) == (0, 65)
    after.close()


def test_a_system_without_an_id_of_its_start(tmp_path, monkeypatch):
    """There, a lease that ends later than a whole lease from now was made before the last start."""
    monkeypatch.setattr(sqlite, "BOOT", "")
    url = f"sqlite:///{tmp_path}/ledger.db"
    before = open_ledger(url, namespace="n")
    reserve(before, 60, id="a", uptime=UPTIME)
    before.close()
    after = open_ledger(url, namespace="n")
    assert balance(after, uptime=5.0).reserved == 60
    assert balance(after, uptime=5.0 + LEASE).worst_case == 60
    after.close()


def test_a_live_call_whose_lease_has_ended_is_held_again(tmp_path):
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db", namespace="n")
    reserve(ledger, 60, id="a", shape=NEVER)
    assert balance(ledger, shape=NEVER, uptime=UPTIME + LEASE).worst_case == 60
    renew(ledger, "a", 60, admitted=NOW, uptime=UPTIME + LEASE)
    assert balance(ledger, shape=NEVER, uptime=UPTIME + LEASE).worst_case == 0
    settle(ledger, 10, call_id("a"), admitted=NOW + timedelta(days=40), shape=NEVER)
    assert balance(ledger, shape=NEVER, uptime=UPTIME + 9 * LEASE).spent == 10
    ledger.close()
