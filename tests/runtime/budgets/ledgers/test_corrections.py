"""What operators do to a ledger: resets, releases of worst cases, pruning."""

from __future__ import annotations

from datetime import timedelta

from support.ledger_calls import DAY, HOUR, NEVER, NOW, balance, reserve, settle

from llmmetrics.budgets.ledgers import Basis


def test_a_reset_is_recorded_and_has_a_generation(ledger):
    settle(ledger, 25)
    reserve(ledger, 10, id="a")
    assert ledger.reset("b", DAY.window(NOW), NOW, "alice") == 25
    found = balance(ledger)
    assert (found.spent, found.reserved, found.generation) == (0, 10, 1)
    booked = settle(ledger, 10, "a")
    assert (booked.spent, booked.generation) == (10, 1)
    assert ledger.reset("b", DAY.window(NOW), NOW + timedelta(minutes=1), "bob") == 10
    assert [tuple(each) for each in ledger.corrections()] == [
        ("reset", "b", NOW + timedelta(minutes=1), "bob", 10),
        ("reset", "b", NOW, "alice", 25),
    ]
    assert ledger.corrections("c") == []
    # a window of other settings does not bring it back
    assert balance(ledger, shape=NEVER).spent == 0
    # where nothing was spent, that is what is taken off
    assert ledger.reset("b", DAY.window(NOW), NOW + timedelta(minutes=2), "bob") == 0
    assert ledger.corrections()[0].amount == 0


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


def test_a_reset_takes_off_worst_cases_once(ledger):
    settle(ledger, 40, basis=Basis.WORST_CASE)
    assert ledger.reset("b", DAY.window(NOW), NOW, "alice") == 40
    assert ledger.release("b", DAY.window(NOW), NOW, "alice") == 0
    assert balance(ledger).worst_case == 0


def test_worst_cases_are_taken_back(ledger):
    settle(ledger, 25)
    settle(ledger, 5, basis=Basis.ESTIMATED)
    for hours, amount in ((0, 40), (3, 30), (30, 1000)):
        settle(ledger, amount, admitted=NOW - timedelta(hours=hours), basis=Basis.WORST_CASE)
    assert balance(ledger, shape=NEVER).worst_case == 1070
    before = balance(ledger).bookings
    assert ledger.release("b", DAY.window(NOW), NOW, "alice") == 70
    found = balance(ledger)
    assert (found.spent, found.estimated, found.worst_case) == (30, 5, 0)
    # less is spent, and that is no loss
    assert found.bookings >= before
    found = balance(ledger, shape=NEVER)
    assert (found.spent, found.worst_case) == (1030, 1000)
    assert [tuple(each) for each in ledger.corrections("b")] == [("release", "b", NOW, "alice", 70)]
    assert ledger.release("b", DAY.window(NOW), NOW, "alice") == 0


def test_a_settle_after_a_release_is_booked(ledger):
    reserve(ledger, 60, id="a")
    settle(ledger, 40, "x", basis=Basis.WORST_CASE)
    ledger.release("b", DAY.window(NOW), NOW, "alice")
    assert balance(ledger).reserved == 60
    assert settle(ledger, 10, "a").spent == 10


def test_pruning_deletes_what_is_over(ledger):
    for days in range(100):
        settle(ledger, 1, f"d{days}", admitted=NOW - timedelta(days=days))
    settle(ledger, 0, shape=NEVER)
    assert balance(ledger, shape=NEVER).spent == 100
    before = DAY.window(NOW - timedelta(days=9)).start
    assert ledger.prune(before) == 90
    assert len([each for each in ledger.history("b") if each.window.resets_at]) == 10
    assert balance(ledger, shape=NEVER).spent == 100
    assert balance(ledger, NOW - timedelta(days=3)).spent == 1
    assert not settle(ledger, 1, "d3", admitted=NOW - timedelta(days=3)).first
    assert ledger.prune(before) == 0
