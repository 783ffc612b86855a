"""One contract for every ledger: what is admitted, held, booked once, and shown."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from support.ledger_calls import DAY, HOUR, LEASE, NEVER, NOW, balance, reserve, settle

from llmmetrics.budgets.ledgers.base import KEPT
from llmmetrics.settings.windows import ResetPeriod, WindowSchedule


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
