"""One contract for every ledger: what is admitted, held, booked once, and shown."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from support.ledger_calls import (
    DAY,
    HOUR,
    LEASE,
    NEVER,
    NOW,
    UPTIME,
    age,
    balance,
    call_id,
    renew,
    reserve,
    settle,
)

from llmmetrics.budgets.ledgers import Basis, CallId
from llmmetrics.budgets.ledgers.base import AT_ONCE


def standing(found):
    return found.admitted, found.spent, found.reserved


def parts(found):
    return found.spent, found.reserved, found.worst_case


@pytest.fixture
def older(ledger, kind, request, namespace):
    """Let leases become so many seconds older; return the uptime then."""

    def later(seconds):
        if kind == "redis":
            age(request.getfixturevalue("redis_url"), namespace, seconds)
        return UPTIME + seconds

    return later


def test_nothing_yet(ledger):
    assert set(balance(ledger)) == {0}
    assert ledger.history() == [] or len(ledger.history()) == 1
    assert ledger.corrections() == []
    assert ledger.pending_counts() == {}


def test_without_a_reservation_a_call_is_admitted_while_less_than_the_limit_is_spent(ledger):
    assert standing(reserve(ledger)) == (True, 0, 0)
    settle(ledger, 99)
    assert reserve(ledger).admitted
    settle(ledger, 30)
    assert standing(reserve(ledger)) == (False, 129, 0)
    assert reserve(ledger, limit=None).admitted


def test_spent_and_reserved_never_exceed_the_limit(ledger):
    assert standing(reserve(ledger, 60)) == (True, 0, 60)
    assert standing(reserve(ledger, 41)) == (False, 0, 60)
    assert standing(reserve(ledger, 40)) == (True, 0, 100)
    assert standing(reserve(ledger, 1)) == (False, 0, 100)


def test_the_first_booking_of_a_window_counts(ledger):
    booked = settle(ledger, 25, "a")
    assert (booked.spent, booked.bookings) == (25, 1) == (balance(ledger).spent, balance(ledger).bookings)


def test_settling_books_what_it_came_to_and_lets_the_rest_go(ledger):
    reserve(ledger, 60, id="a")
    assert settle(ledger, 25, "a").spent == 25
    assert parts(balance(ledger)) == (25, 0, 0)
    assert reserve(ledger, 75).admitted


def test_the_same_id_counts_once(ledger, opened):
    for _ in range(2):
        assert standing(reserve(ledger, 60, id="a")) == (True, 0, 60)
    for n, each in enumerate((ledger, opened(), ledger)):
        booked = settle(each, 25, "a")
        assert (booked.spent, booked.bookings, booked.first) == (25, 1, n == 0)
    # neither can a call that is over hold anything again
    renew(ledger, "a", 60)
    assert reserve(ledger, 60, id="a").reserved == 0
    assert balance(ledger).reserved == 0


def test_a_settle_that_is_repeated_after_months_counts_once(ledger):
    settle(ledger, 25, "a", shape=NEVER)
    for days in range(1, 100, 3):
        settle(ledger, 1, admitted=NOW + timedelta(days=days), shape=NEVER)
    assert not settle(ledger, 25, "a", shape=NEVER).first
    assert balance(ledger, shape=NEVER).spent == 58


def test_the_numbers_of_an_owner_may_be_settled_in_any_order(ledger):
    order = [7, 0, 3, 9, 1, 2, 5, 4, 8, 6]
    for number in order:
        assert settle(ledger, 1, CallId("o", number)).first
        assert not settle(ledger, 1, CallId("o", number)).first
    for number in range(10):
        assert not settle(ledger, 1, CallId("o", number)).first
    assert settle(ledger, 1, CallId("o", 10)).first
    assert settle(ledger, 1, CallId("other", 0)).first
    assert balance(ledger).spent == 12


def test_keys_count_their_numbers_apart(ledger):
    assert settle(ledger, 1, CallId("o", 0), backend="b").first
    assert settle(ledger, 1, CallId("o", 0), backend="c").first


def test_a_release_is_a_settlement_at_nothing(ledger):
    reserve(ledger, 60, id="a")
    assert settle(ledger, 0, "a").spent == 0
    assert settle(ledger, 60, "a").spent == 0
    assert parts(balance(ledger)) == (0, 0, 0)


@pytest.mark.parametrize("basis", Basis)
def test_the_balance_says_how_sure_it_is(ledger, basis):
    settle(ledger, 5)
    settle(ledger, 30, basis=basis)
    found = balance(ledger).by_basis
    assert sum(found.values()) == 35
    assert found[basis] == (35 if basis is Basis.KNOWN else 30)


# leases


def test_a_lease_that_ends_is_booked_as_worst_case(ledger, older, opened):
    reserve(ledger, 60, id="a")
    assert parts(balance(ledger, uptime=older(LEASE - 0.5))) == (0, 60, 0)
    later = older(LEASE)
    found = balance(ledger, uptime=later)
    assert (*parts(found), found.expired) == (60, 0, 60, 1)
    assert balance(opened(), uptime=later).expired == 0
    # strict never lets it go
    assert standing(reserve(ledger, 41, id="c", uptime=later)) == (False, 60, 0)
    # what it came to replaces it, once, in its own window
    for n in range(2):
        booked = settle(ledger, 25, "a", admitted=NOW + timedelta(days=3))
        assert (booked.spent, booked.first, booked.replaced) == (0, n == 0, n == 0)
    assert balance(ledger).bookings == 1
    assert parts(balance(ledger, uptime=later)) == (25, 0, 0)
    assert reserve(ledger, 75, uptime=later).admitted


def test_a_reservation_books_the_leases_that_have_ended(ledger, older):
    reserve(ledger, 60, id="a")
    found = reserve(ledger, 40, id="b", uptime=older(LEASE))
    assert (*standing(found), found.expired) == (True, 60, 40, 1)


def test_a_lease_that_is_renewed(ledger, older):
    reserve(ledger, 60, id="a")
    renew(ledger, "a", 60, uptime=older(LEASE / 2))
    assert parts(balance(ledger, uptime=older(LEASE / 2))) == (0, 60, 0) or ledger.name.startswith("redis")
    later = older(LEASE * 2)
    assert parts(balance(ledger, uptime=later)) == (60, 0, 60)
    # one that could not be renewed in time is taken up again
    renew(ledger, "a", 60, uptime=later)
    assert parts(balance(ledger, uptime=later)) == (0, 60, 0)
    assert settle(ledger, 10, "a").spent == 10


def test_a_reservation_that_the_ledger_has_lost_is_taken_up_again(ledger):
    renew(ledger, "a", 60)
    assert parts(balance(ledger)) == (0, 60, 0)


def test_leases_end_a_few_at_a_time(ledger, older):
    for n in range(3 * AT_ONCE):
        reserve(ledger, 1, id=f"x{n}")
    later = older(LEASE)
    found = [balance(ledger, uptime=later) for _ in range(4)]
    assert [each.expired for each in found] == [AT_ONCE] * 3 + [0]
    assert {each.spent + each.reserved for each in found} == {3 * AT_ONCE}
    assert found[-1].worst_case == 3 * AT_ONCE


def test_no_wall_clock_ends_a_lease(ledger):
    """A host whose clock is two months ahead, or behind."""
    reserve(ledger, 60, id="a", shape=NEVER)
    for days in (60, -60):
        other = NOW + timedelta(days=days)
        assert standing(reserve(ledger, 41, now=other, shape=NEVER)) == (False, 0, 60)
        assert ledger.balance("b", NEVER.window(other), UPTIME).reserved == 60
    assert settle(ledger, 25, "a", shape=NEVER).spent == 25


# windows


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
        assert (other.history(), other.corrections()) == ([], [])
        assert settle(other, 1).spent == 1
    assert balance(one).spent == 25
    assert [each.key for each in one.history()] == ["b"]


def test_backends_are_apart(ledger):
    settle(ledger, 25, backend="b")
    settle(ledger, 35, backend="ü}{:%")
    assert balance(ledger, backend="b").spent == 25
    assert balance(ledger, backend="ü}{:%").spent == 35


def test_a_changed_period_in_mid_window_refunds_nothing(ledger):
    yesterday, earlier = NOW - timedelta(days=1), NOW - timedelta(hours=2)
    for amount, admitted in ((1, yesterday), (20, earlier), (300, NOW)):
        settle(ledger, amount, admitted=admitted, shape=DAY)
    settle(ledger, 50_000, basis=Basis.WORST_CASE)
    reserve(ledger, 7, limit=10**6, id="before")
    assert parts(balance(ledger, shape=HOUR)) == (50_300, 7, 50_000)
    assert parts(balance(ledger, shape=NEVER)) == (50_321, 7, 50_000)
    # a process with the old settings books for both
    settle(ledger, 4000, shape=DAY)
    settle(ledger, 0, "before")
    assert [balance(ledger, shape=shape).spent for shape in (DAY, HOUR, NEVER)] == [54_320, 54_300, 54_321]
    # and what is held is held in both
    reserve(ledger, 50, limit=10**6, shape=HOUR)
    assert balance(ledger, shape=NEVER).reserved == 50


def test_many_async_callers(raw):
    """Inline where the ledger does not make them wait, else through threads."""
    ledger = raw()

    async def one(n):
        id = str(n)
        ask = [lambda: reserve(ledger, 10, id=id), lambda: settle(ledger, 7, id)]
        if ledger.blocking:
            found = await asyncio.to_thread(ask[0])
            if found.admitted:
                await asyncio.to_thread(ask[1])
        else:
            found = ask[0]()
            await asyncio.sleep(0)
            if found.admitted:
                ask[1]()

    async def many():
        await asyncio.gather(*(one(n) for n in range(50)))

    asyncio.run(many())
    final = balance(ledger)
    assert final.reserved == 0
    assert 0 < final.spent <= 100
    assert final.spent % 7 == 0


def test_an_owner_that_ends_is_forgotten(ledger):
    settle(ledger, 1, CallId("o", 0))
    ledger.retire("b", "o")
    ledger.retire("b", "never seen")
    assert settle(ledger, 1, CallId("o", 0)).first
    assert call_id().owner != "o"
