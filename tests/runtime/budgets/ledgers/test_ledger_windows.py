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
from support.ledger_calls import DAY, HOUR, LEASE, NEVER, NOW, balance, reserve, settle

from llmmetrics.budgets.ledgers import open_ledger
from llmmetrics.budgets.ledgers.base import KEPT, SCHEMA
from llmmetrics.errors import LedgerError


def test_a_clock_that_goes_back_loses_nothing(ledger):
    settle(ledger, 25)
    back = NOW - timedelta(hours=1)
    assert reserve(ledger, 60, id="a", now=back) == (True, 25, 60, 0, 0)
    settle(ledger, 30, "a", admitted=back)
    assert balance(ledger, back).spent == 55
    assert balance(ledger, NOW, shape=HOUR).spent == 25
    assert balance(ledger, back, shape=HOUR).spent == 30


def test_a_reset_is_recorded_and_has_a_generation(ledger):
    settle(ledger, 25)
    reserve(ledger, 10, id="a")
    assert ledger.reset("b", DAY.window(NOW), NOW, "alice") == 25
    assert balance(ledger) == (0, 10, 0, 1)
    assert settle(ledger, 10, "a") == (10, 0, 0, 1)
    assert ledger.reset("b", DAY.window(NOW), NOW + timedelta(minutes=1), "bob") == 10
    assert [(each.backend, each.by, each.amount, each.at) for each in ledger.resets()] == [
        ("b", "bob", 10, NOW + timedelta(minutes=1)),
        ("b", "alice", 25, NOW),
    ]
    assert ledger.resets("c") == []
    # a window of other settings does not bring it back
    assert balance(ledger, shape=NEVER).spent == 0
    # where nothing was spent, that is what is taken off
    assert ledger.reset("b", DAY.window(NOW), NOW + timedelta(minutes=2), "bob") == 0
    assert ledger.resets()[0].amount == 0


def test_a_reset_takes_off_what_the_window_spent_and_no_more(ledger):
    earlier = NOW - timedelta(hours=3)
    settle(ledger, 25, admitted=earlier)
    settle(ledger, 1, admitted=NOW - timedelta(days=1))
    assert ledger.reset("b", DAY.window(NOW), NOW, "alice") == 25
    # the hour in which it was done has not spent less than nothing
    assert balance(ledger, shape=HOUR).spent == 0
    assert balance(ledger, shape=NEVER).spent == 1
    settle(ledger, 7, admitted=NOW)
    assert [balance(ledger, shape=shape).spent for shape in (DAY, HOUR, NEVER)] == [7, 7, 8]


def test_history(ledger):
    for days in range(3):
        reserve(ledger, limit=100 + days, now=NOW - timedelta(days=days))
        settle(ledger, 10 + days, admitted=NOW - timedelta(days=days))
    settle(ledger, 1, backend="c")
    rows = ledger.history("b")
    assert [(each.spent, each.limit) for each in rows] == [(10, 100), (11, 101), (12, 102)]
    assert rows[0].window == DAY.window(NOW)
    assert {each.backend for each in ledger.history()} == {"b", "c"}


def test_old_windows_are_forgotten_but_for_one_that_never_ends(ledger):
    days_kept = KEPT.days
    old = NOW - timedelta(days=days_kept + 10)
    settle(ledger, 1, admitted=old, shape=DAY)
    settle(ledger, 10, admitted=old, shape=NEVER)
    for days in range(days_kept + 9, -1, -1):
        settle(ledger, 1, admitted=NOW - timedelta(days=days), shape=DAY)
    kept = ledger.history("b")
    assert days_kept <= len([each for each in kept if each.window.resets_at]) <= days_kept + 5
    assert balance(ledger, shape=NEVER).spent == days_kept + 21


class Machine(RuleBasedStateMachine):
    """Random calls, against the plainest model: sums over lists."""

    opened = None
    calls = Bundle("calls")

    def __init__(self):
        super().__init__()
        self.ledger = type(self).opened()
        self.backend = uuid4().hex
        self.ids = map(str, itertools.count())
        self.now = NOW
        self.booked, self.held, self.settled = [], {}, set()

    def spent(self, window):
        return sum(amount for amount, at in self.booked if window.holds(at))

    def reserved(self, window):
        return sum(amount for amount, at, ends in self.held.values() if window.holds(at) and ends > self.now)

    @rule(
        target=calls,
        amount=st.integers(0, 60),
        limit=st.integers(1, 150) | st.none(),
        shape=st.sampled_from([DAY, HOUR]),
    )
    def reserve(self, amount, limit, shape):
        id = f"{self.backend}-{next(self.ids)}"
        window = shape.window(self.now)
        spent, reserved = self.spent(window), self.reserved(window)
        fits = limit is None or (spent < limit and spent + reserved + amount <= limit)
        standing = self.ledger.reserve(self.backend, window, amount, limit, id, self.now, LEASE)
        over = {each for each, (_, _, ends) in self.held.items() if ends <= self.now}
        # the quick look of a call that holds nothing leaves what is over to the others
        assert standing.expired in (len(over), 0)
        if fits and amount:
            self.held[id] = (amount, self.now, self.now + LEASE)
            reserved += amount
        assert (standing.admitted, standing.spent) == (fits, spent)
        assert standing.reserved == reserved
        return (id, amount, self.now, shape)

    @rule(call=consumes(calls), share=st.floats(0, 1), again=st.booleans())
    def settle(self, call, share, again):
        id, amount, admitted, shape = call
        cost = int((amount or 40) * share)
        for _ in range(1 + again):
            found = self.ledger.settle(self.backend, id, cost, admitted, shape.window(admitted))
        self.held.pop(id, None)
        self.booked.append((cost, admitted))
        assert found.spent == self.spent(shape.window(admitted))

    @rule(call=calls)
    def renew(self, call):
        id, amount, admitted, _ = call
        if amount:
            self.ledger.renew(self.backend, id, amount, admitted, self.now, LEASE)
            self.held[id] = (amount, admitted, self.now + LEASE)

    @rule(seconds=st.sampled_from([1, 20, 59, 60, 61, 1800, 3600, 86400, -3600]))
    def time_passes(self, seconds):
        self.now += timedelta(seconds=seconds)
        if seconds < 0:
            # what was over before stays over
            self.ledger.balance(self.backend, DAY.window(self.now), self.now - timedelta(seconds=seconds))
            self.held = {id: held for id, held in self.held.items() if held[2] > self.now - timedelta(seconds=seconds)}

    @invariant()
    def the_balance_is_the_model_s(self):
        for shape in (DAY, HOUR, NEVER):
            window = shape.window(self.now)
            found = self.ledger.balance(self.backend, window, self.now)
            assert (found.spent, found.reserved) == (self.spent(window), self.reserved(window))


def test_any_order_of_calls(opened):
    machine = type("Opened", (Machine,), {"opened": staticmethod(opened)})
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
    ledger.reset("}{", DAY.window(NOW), NOW, "alice")
    with Redis.from_url(redis_url, decode_responses=True) as other:
        keys = [each for each in other.keys("llmmetrics:{a%7Db%7Bc*") if not each.endswith(":backends")]
        assert len(keys) >= 3
        assert len({key_slot(each.encode()) for each in keys}) == 1
    ledger.close()
