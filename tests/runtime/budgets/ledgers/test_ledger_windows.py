"""Windows of a ledger: resets, history, clocks, any order of calls."""

from __future__ import annotations

import itertools
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test
from redis import Redis
from redis.crc import key_slot
from support.ledger_calls import DAY, HOUR, LEASE, NEVER, NOW, UPTIME, age, balance, reserve, settle

from llmmetrics.budgets.ledgers import Basis, CallId, open_ledger
from llmmetrics.budgets.ledgers.base import SCHEMA
from llmmetrics.errors import LedgerError


def test_a_clock_that_goes_back_loses_nothing(ledger):
    settle(ledger, 25)
    back = NOW - timedelta(hours=1)
    assert reserve(ledger, 60, id="a", now=back)[:3] == (True, 25, 60)
    settle(ledger, 30, "a", admitted=back)
    assert balance(ledger, back).spent == 55
    assert balance(ledger, NOW, shape=HOUR).spent == 25
    assert balance(ledger, back, shape=HOUR).spent == 30


def test_history(ledger):
    for days in range(3):
        reserve(ledger, limit=100 + days, now=NOW - timedelta(days=days))
        settle(ledger, 10 + days, admitted=NOW - timedelta(days=days))
    settle(ledger, 1, backend="c")
    rows = ledger.history("b")
    assert [(each.spent, each.limit) for each in rows] == [(10, 100), (11, 101), (12, 102)]
    assert rows[0].window == DAY.window(NOW)
    assert {each.key for each in ledger.history()} == {"b", "c"}


def test_no_clock_deletes_a_sum(ledger):
    """One call with a clock that is years ahead, then a setting that goes from Daily to Never."""
    for days in range(0, 100, 10):
        settle(ledger, 1, admitted=NOW - timedelta(days=days))
    settle(ledger, 10, backend="c")
    for days in (60, 3650):
        far = NOW + timedelta(days=days)
        reserve(ledger, now=far)
        settle(ledger, 1, admitted=far)
    assert balance(ledger).spent == 1
    assert balance(ledger, backend="c").spent == 10
    assert balance(ledger, shape=NEVER).spent == 12
    assert balance(ledger, NOW - timedelta(days=90)).spent == 1
    assert len([each for each in ledger.history("b") if each.window.resets_at]) == 12


class Machine(RuleBasedStateMachine):
    """Random calls, against the plainest model: sums over lists."""

    opened = None
    older = None
    calls = Bundle("calls")

    def __init__(self):
        super().__init__()
        self.ledger = type(self).opened()
        self.backend = uuid4().hex
        self.owner = uuid4().hex
        self.ids = itertools.count()
        self.now, self.uptime = NOW, UPTIME
        self.booked, self.held = {}, {}

    def spent(self, window, basis=None):
        rows = self.booked.values()
        return sum(amount for amount, at, kind in rows if window.holds(at) and basis in (None, kind))

    def reserved(self, window):
        return sum(amount for amount, at, _ in self.held.values() if window.holds(at))

    def expire(self):
        """At most so many leases are booked at once; fewer are open in one run."""
        over = [id for id, (_, _, ends) in self.held.items() if ends <= self.uptime]
        for id in over:
            amount, at, _ = self.held.pop(id)
            self.booked[id] = amount, at, Basis.WORST_CASE
        return len(over)

    @rule(
        target=calls,
        amount=st.integers(0, 60),
        limit=st.integers(1, 150) | st.none(),
        shape=st.sampled_from([DAY, HOUR]),
    )
    def reserve(self, amount, limit, shape):
        id = CallId(self.owner, next(self.ids))
        window, expired = shape.window(self.now), self.expire()
        spent, reserved = self.spent(window), self.reserved(window)
        fits = limit is None or (spent < limit and spent + reserved + amount <= limit)
        standing = self.ledger.reserve(self.backend, window, amount, limit, id, self.now, self.uptime, LEASE)
        assert standing.expired == expired
        if fits and amount:
            self.held[id] = (amount, self.now, self.uptime + LEASE)
            reserved += amount
        assert (standing.admitted, standing.spent, standing.reserved) == (fits, spent, reserved)
        return (id, amount, self.now, shape)

    @rule(call=consumes(calls), share=st.floats(0, 1), again=st.booleans(), basis=st.sampled_from(Basis))
    def settle(self, call, share, again, basis):
        id, amount, admitted, shape = call
        cost = int((amount or 40) * share)
        for _ in range(1 + again):
            found = self.ledger.settle(self.backend, id, cost, basis, admitted, shape.window(admitted))
        self.held.pop(id, None)
        self.booked[id] = cost, admitted, basis
        assert found.spent == self.spent(shape.window(admitted))

    @rule(call=calls)
    def renew(self, call):
        id, amount, admitted, _ = call
        if amount:
            self.ledger.renew(self.backend, id, amount, admitted, self.uptime, LEASE)
            self.booked.pop(id, None)
            self.held[id] = (amount, admitted, self.uptime + LEASE)

    @rule(hours=st.sampled_from([1, 11, 24, 24 * 31, -1, -24 * 31]))
    def the_wall_clock_moves(self, hours):
        self.now += timedelta(hours=hours)

    @rule(seconds=st.sampled_from([1, 20, 59, 60, 61]))
    def time_passes(self, seconds):
        self.now += timedelta(seconds=seconds)
        self.uptime += seconds
        type(self).older(self.backend, seconds)

    @invariant()
    def the_balance_is_the_model_s(self):
        for shape in (DAY, HOUR, NEVER):
            window = shape.window(self.now)
            found = self.ledger.balance(self.backend, window, self.uptime)
            self.expire()
            assert (found.spent, found.reserved) == (self.spent(window), self.reserved(window))
            assert found.by_basis == {basis: self.spent(window, basis) for basis in Basis}


def test_any_order_of_calls(opened, kind, namespace, request):
    def older(backend, seconds):
        if kind == "redis":
            age(request.getfixturevalue("redis_url"), namespace, seconds, backend)

    machine = type("Opened", (Machine,), {"opened": staticmethod(opened), "older": staticmethod(older)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            stateful_step_count=30,
            max_examples=max(settings().max_examples // 4, 20),
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_redis_of_a_newer_version(redis_url):
    ledger = open_ledger(redis_url, namespace="newer")
    settle(ledger, 5)
    with Redis.from_url(redis_url) as other:
        other.hset("llmmetrics:{newer:b}:meta", "schema", SCHEMA + 1)
    for ask in (reserve, balance):
        with pytest.raises(
            LedgerError, match=r"written by a newer llmmetrics than this one, which knows schema \d: upgrade"
        ):
            ask(ledger)
    ledger.close()


def test_the_keys_of_a_backend_are_in_one_slot_of_a_cluster(redis_url):
    ledger = open_ledger(redis_url, namespace="a}b{c")
    reserve(ledger, 5, id="x", backend="}{")
    settle(ledger, 5, id="x", backend="}{")
    reserve(ledger, 5, id="y", backend="}{")
    settle(ledger, 5, id=CallId("z", 7), backend="}{")
    ledger.reset("}{", DAY.window(NOW), NOW, "alice")
    with Redis.from_url(redis_url, decode_responses=True) as other:
        keys = [each for each in other.keys("llmmetrics:{a%7Db%7Bc*") if not each.endswith(":backends")]
        assert len(keys) == 5
        assert len({key_slot(each.encode()) for each in keys}) == 1
    ledger.close()
