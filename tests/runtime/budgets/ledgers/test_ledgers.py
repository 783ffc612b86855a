"""One contract for every ledger: what is admitted, held, booked once, and shown."""

from __future__ import annotations

import asyncio
import itertools
import os
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test
from redis import Redis
from redis.crc import key_slot
from support.servers import redis_server

from llmmetrics.budgets.ledgers import open_ledger
from llmmetrics.budgets.ledgers.base import KEPT, SCHEMA
from llmmetrics.errors import LedgerError
from llmmetrics.settings.windows import ResetPeriod, WindowSchedule

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
LEASE = timedelta(seconds=60)
DAY, HOUR, NEVER = (WindowSchedule(each) for each in (ResetPeriod.DAILY, ResetPeriod.HOURLY, ResetPeriod.NEVER))
KINDS = ("memory", "sqlite", "redis", *filter(None, [os.environ.get("LLMMETRICS_LEDGER")]))
"""The ledgers; a URL in the environment is one more, of a scheme that an entry point names."""


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


class FromAnEventLoop:
    """A ledger as async callers have it: inline where it does not make them wait, else through threads."""

    def __init__(self, ledger, runner):
        self._ledger = ledger
        self._runner = runner

    def __getattr__(self, name):
        found = getattr(self._ledger, name)
        if not callable(found):
            return found

        async def ask(*args):
            return await asyncio.to_thread(found, *args) if self._ledger.blocking else found(*args)

        return lambda *args: self._runner.run(ask(*args))


@pytest.fixture(params=["sync", "async"])
def caller(request):
    """What gives a ledger to its callers."""
    if request.param == "sync":
        yield lambda ledger: ledger
        return
    with asyncio.Runner() as runner:
        yield lambda ledger: FromAnEventLoop(ledger, runner)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def raw(kind, request, tmp_path):
    """A function that opens the same ledger again, as another process would; but for `memory`."""
    made = []
    url = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/ledger.db"}.get(kind, kind)
    if kind == "redis":
        url = request.getfixturevalue("redis_url")
    namespace = uuid4().hex

    def again(namespace=namespace):
        if kind != "memory" or not made:
            made.append(open_ledger(url, namespace=namespace))
        return made[-1]

    yield again
    for ledger in made:
        ledger.close()


@pytest.fixture
def opened(raw, caller):
    return lambda *args: caller(raw(*args))


@pytest.fixture
def ledger(opened):
    return opened()


def reserve(ledger, amount=0, limit=100, id=None, now=NOW, backend="b", shape=DAY):
    return ledger.reserve(backend, shape.window(now), amount, limit, id or uuid4().hex, now, LEASE)


def settle(ledger, amount, id=None, admitted=NOW, backend="b", shape=DAY):
    return ledger.settle(backend, id or uuid4().hex, amount, admitted, shape.window(admitted))


def balance(ledger, now=NOW, backend="b", shape=DAY):
    return ledger.balance(backend, shape.window(now), now)


@pytest.mark.parametrize("period", [each for each in ResetPeriod if each is not ResetPeriod.NEVER])
def test_a_ledger_keeps_more_than_the_longest_window(period):
    window = WindowSchedule(period).window(NOW)
    assert window.end - window.start < KEPT


def test_nothing_yet(ledger):
    assert balance(ledger) == (0, 0, 0, 0)
    assert ledger.history() == [] or len(ledger.history()) == 1
    assert ledger.resets() == []


def test_without_a_reservation_a_call_is_admitted_while_less_than_the_limit_is_spent(ledger):
    assert reserve(ledger) == (True, 0, 0, 0, 0)
    settle(ledger, 99)
    assert reserve(ledger).admitted
    settle(ledger, 30)
    assert reserve(ledger) == (False, 129, 0, 0, 0)
    assert reserve(ledger, limit=None).admitted


def test_spent_and_reserved_never_exceed_the_limit(ledger):
    assert reserve(ledger, 60) == (True, 0, 60, 0, 0)
    assert reserve(ledger, 41) == (False, 0, 60, 0, 0)
    assert reserve(ledger, 40) == (True, 0, 100, 0, 0)
    assert reserve(ledger, 1) == (False, 0, 100, 0, 0)


def test_settling_books_what_it_came_to_and_lets_the_rest_go(ledger):
    reserve(ledger, 60, id="a")
    assert settle(ledger, 25, "a") == (25, 0, 0, 0)
    assert reserve(ledger, 75).admitted


def test_the_same_id_counts_once(ledger, opened):
    for _ in range(2):
        assert reserve(ledger, 60, id="a") == (True, 0, 60, 0, 0)
    for each in (ledger, opened(), ledger):
        assert settle(each, 25, "a").spent == 25
    # neither can a call that is over hold anything again
    ledger.renew("b", "a", 60, NOW, NOW, LEASE)
    assert reserve(ledger, 60, id="a").reserved == 0
    assert balance(ledger).reserved == 0


def test_a_release_is_a_settlement_at_nothing(ledger):
    reserve(ledger, 60, id="a")
    assert settle(ledger, 0, "a") == (0, 0, 0, 0)
    assert settle(ledger, 60, "a").spent == 0


def test_a_lease_ends_and_is_told_of_once(ledger, opened):
    reserve(ledger, 60, id="a")
    later = NOW + LEASE
    assert balance(ledger, NOW + LEASE - timedelta(milliseconds=1)).reserved == 60
    assert reserve(ledger, 100, id="c", now=later) == (True, 0, 100, 1, 0)
    assert balance(opened(), later).expired == 0
    # a settlement after the lease still counts, past the limit
    settle(ledger, 100, "c")
    assert settle(ledger, 25, "a").spent == 125


def test_a_lease_that_is_renewed(ledger):
    reserve(ledger, 60, id="a")
    ledger.renew("b", "a", 60, NOW, NOW + LEASE / 2, LEASE)
    assert balance(ledger, NOW + LEASE).reserved == 60
    assert balance(ledger, NOW + LEASE * 2) == (0, 0, 1, 0)
    # one that could not be renewed in time is taken up again
    ledger.renew("b", "a", 60, NOW, NOW + LEASE * 2, LEASE)
    assert balance(ledger, NOW + LEASE * 2).reserved == 60


def test_a_call_belongs_to_the_window_that_it_was_admitted_in(ledger):
    tomorrow = NOW + timedelta(days=1)
    reserve(ledger, 60, id="a")
    reserve(ledger, 60, id="b", now=tomorrow)
    settle(ledger, 25, "a", admitted=NOW)
    settle(ledger, 35, "b", admitted=tomorrow)
    assert [balance(ledger, when).spent for when in (NOW, tomorrow)] == [25, 35]


def test_namespaces_are_apart(opened):
    one = opened()
    if one.local and one.name == "memory://":
        pytest.skip("only its own process can read it")
    settle(one, 25)
    one.reset("b", DAY.window(NOW), NOW, "alice")
    settle(one, 25)
    for namespace in (f"{uuid4().hex}", f"{uuid4().hex}:b", f"{uuid4().hex}}}{{"):
        other = opened(namespace)
        assert (other.history(), other.resets()) == ([], [])
        assert settle(other, 1).spent == 1
    assert balance(one).spent == 25
    assert [each.backend for each in one.history()] == ["b"]


def test_backends_are_apart(ledger):
    settle(ledger, 25, backend="b")
    settle(ledger, 35, backend="ü}{:%")
    assert balance(ledger, backend="b").spent == 25
    assert balance(ledger, backend="ü}{:%").spent == 35


def test_a_changed_period_in_mid_window_refunds_nothing(ledger):
    yesterday, earlier = NOW - timedelta(days=1), NOW - timedelta(hours=2)
    for amount, admitted in ((1, yesterday), (20, earlier), (300, NOW)):
        settle(ledger, amount, admitted=admitted, shape=DAY)
    assert balance(ledger, shape=HOUR).spent == 300
    assert balance(ledger, shape=NEVER).spent == 321
    # a process with the old settings books for both
    settle(ledger, 4000, shape=DAY)
    assert [balance(ledger, shape=shape).spent for shape in (DAY, HOUR, NEVER)] == [4320, 4300, 4321]
    # and what is held is held in both
    reserve(ledger, 50, limit=10_000, shape=HOUR)
    assert balance(ledger, shape=NEVER).reserved == 50


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
    old = NOW - timedelta(days=50)
    settle(ledger, 1, admitted=old, shape=DAY)
    settle(ledger, 10, admitted=old, shape=NEVER)
    for days in range(49, -1, -1):
        settle(ledger, 1, admitted=NOW - timedelta(days=days), shape=DAY)
    kept = ledger.history("b")
    assert 40 <= len([each for each in kept if each.window.resets_at]) <= 45
    assert balance(ledger, shape=NEVER).spent == 61


def test_amounts_are_exact_up_to_nine_million_dollars(ledger):
    most = 2**53 - 1
    settle(ledger, most - 10, shape=NEVER)
    assert settle(ledger, 9, shape=NEVER).spent == most - 1
    assert reserve(ledger, 1, limit=most, shape=NEVER).admitted


def test_many_async_callers(raw):
    """Inline where the ledger does not make them wait, else through threads."""
    ledger = raw()

    async def one(n):
        id = str(n)
        ask = [lambda: reserve(ledger, 10, id=id), lambda: settle(ledger, 7, id)]
        if ledger.blocking:
            standing = await asyncio.to_thread(ask[0])
            if standing.admitted:
                await asyncio.to_thread(ask[1])
        else:
            standing = ask[0]()
            await asyncio.sleep(0)
            if standing.admitted:
                ask[1]()

    async def many():
        await asyncio.gather(*(one(n) for n in range(50)))

    asyncio.run(many())
    final = balance(ledger)
    assert final.reserved == 0
    assert 0 < final.spent <= 100
    assert final.spent % 7 == 0


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
