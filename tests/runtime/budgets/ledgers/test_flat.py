"""The work of a call does not grow: not with open reservations, not with settled calls, not with past windows."""

from __future__ import annotations

import sys
from datetime import timedelta

import pytest
from redis import Redis
from support import SOAK
from support.ledger_calls import DAY, HOUR, NEVER, NOW, balance, reserve, settle

from llmmetrics.budgets.ledgers import Basis, CallId

LIMIT = 10**15
MANY = 600 if SOAK else 60


def pair(ledger, number, amount):
    reserve(ledger, amount, LIMIT, CallId("measured", number))
    settle(ledger, 7, CallId("measured", number))


def lines(ledger, act):
    """The lines of Python that run."""
    count = 0

    def trace(*_):
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(before)
    return count


def steps(ledger, act):
    """The instructions of SQLite's virtual machine, in tens."""
    count = 0

    def step():
        nonlocal count
        count += 1

    ledger._file.read(lambda db: db.connection.set_progress_handler(step, 10))
    try:
        act()
    finally:
        ledger._file.read(lambda db: db.connection.set_progress_handler(None, 10))
    return count


def commands(url):
    def count(_, act):
        """What the server is asked inside the scripts. None of it reads a whole key."""
        with Redis.from_url(url) as client:
            client.config_resetstat()
            act()
            asked = client.info("commandstats")
        assert not {name for name in asked if name.endswith(("hgetall", "hkeys", "keys", "smembers", "lrange"))}
        return sum(each["calls"] for each in asked.values())

    return count


@pytest.fixture
def cost(kind, request):
    if kind == "memory":
        return lines
    return steps if kind == "sqlite" else commands(request.getfixturevalue("redis_url"))


@pytest.mark.parametrize("caller", ["sync"], indirect=True)
@pytest.mark.parametrize("amount", [10, 0], ids=["strict", "documented"])
def test_the_work_of_a_call_does_not_grow(ledger, cost, amount):
    def measure(first):
        return cost(ledger, lambda: [pair(ledger, first + n, amount) for n in range(10)])

    pair(ledger, 0, amount)
    before = measure(1)
    for n in range(MANY):
        reserve(ledger, 1, LIMIT, CallId("open", n))
        settle(ledger, 1, CallId("other", n), admitted=NOW - timedelta(hours=6 * n))
        settle(ledger, 1, CallId(f"process-{n}", 0), shape=HOUR, admitted=NOW - timedelta(hours=n))
        settle(ledger, 1, CallId("another", MANY - n), basis=Basis.WORST_CASE)
    balance(ledger, shape=DAY)
    pair(ledger, 11, amount)
    # one more window is open now
    assert measure(12) <= before * 1.5
    for n in range(MANY):
        reserve(ledger, 1, LIMIT, CallId("open", MANY + n))
        settle(ledger, 1, CallId("other", MANY + n), shape=NEVER)
    middle = measure(22)
    for n in range(4 * MANY):
        reserve(ledger, 1, LIMIT, CallId("open", 2 * MANY + n))
    assert measure(32) <= middle * 1.1
