"""What a ledger keeps of answers that come later, of result files and of alerts."""

from __future__ import annotations

from datetime import timedelta

from support.ledger_calls import DAY, LEASE, NOW, UPTIME, balance, call_id, reserve, settle

from llmmetrics.budgets.ledgers import Basis, CallId, Pending, answer_id

ANSWER = answer_id("openai", "resp_1")


def defer(ledger, amount=30, id="a", answer=ANSWER, note="note"):
    return ledger.defer("b", id and call_id(id), amount, NOW, DAY.window(NOW), answer, note)


def test_an_answer_that_comes_later_is_booked_as_pending(ledger, opened):
    reserve(ledger, 60, id="a")
    for n in range(2):
        assert defer(ledger).first is (n == 0)
    found = balance(ledger, uptime=UPTIME + 10 * LEASE)
    assert (found.spent, found.reserved, found.pending, found.expired) == (30, 0, 30, 0)
    for each in (ledger, opened()):
        assert each.pending(ANSWER) == Pending("b", 30, NOW, "note")
        assert each.pending_counts() == {"b": 1}
    assert ledger.pending(answer_id("openai", "resp_2")) is None


def test_a_fetched_answer_replaces_what_is_pending_once_in_whatever_process(ledger, opened):
    reserve(ledger, 60, id="a")
    defer(ledger)
    tomorrow = NOW + timedelta(days=1)
    # in the window of its admission
    assert settle(opened(), 7, ANSWER, admitted=tomorrow).first
    for each in (ledger, opened()):
        assert not settle(each, 7, ANSWER, admitted=tomorrow).first
        assert (each.pending(ANSWER), each.pending_counts()) == (None, {})
    found = balance(ledger)
    assert (found.spent, found.pending, balance(ledger, tomorrow).spent) == (7, 0, 0)
    # a second POST cannot have the same answer
    assert not defer(ledger, id="c").first
    assert (balance(ledger).spent, ledger.pending_counts()) == (7, {})


def test_an_answer_that_the_ledger_does_not_know_is_booked_once(ledger, opened):
    assert settle(ledger, 7, ANSWER, basis=Basis.ESTIMATED).first
    assert not settle(opened(), 7, ANSWER).first
    assert (balance(ledger).spent, balance(ledger).estimated) == (7, 7)


def test_an_answer_of_a_call_without_a_reservation(ledger):
    defer(ledger, 0, id=None)
    assert ledger.pending_counts() == {"b": 1}
    assert settle(ledger, 0, ANSWER).first
    assert ledger.pending_counts() == {}


def test_the_lines_of_a_result_file_count_once(ledger, opened):
    for each in (ledger, opened()):
        for line in range(20):
            settle(each, 2, CallId("file:openai:file-1", line))
    assert balance(ledger).spent == 40


def test_a_high_water_mark(ledger, opened):
    assert [ledger.advance("file-1", to) for to in (5, 3, 9)] == [0, 5, 5]
    assert opened().advance("file-1", 9) == 9
    assert ledger.advance("file-2", 1) == 0


def test_a_reset_takes_off_what_is_pending_and_a_fetched_answer_counts_after_it(ledger):
    defer(ledger, id=None)
    assert ledger.reset("b", DAY.window(NOW), NOW, "alice") == 30
    assert balance(ledger).spent == 0
    assert settle(ledger, 7, ANSWER).spent == 7


def test_an_alert_is_claimed_once_a_window_and_again_after_a_reset(ledger, opened):
    today, tomorrow = (DAY.window(NOW + timedelta(days=each)) for each in range(2))
    for window in (today, tomorrow):
        assert [each.claim_alert("b", window, "0.8") for each in (ledger, opened())] == [True, False]
    assert ledger.claim_alert("b", today, "1.0")
    assert ledger.claim_alert("c", today, "0.8")
    ledger.reset("b", today, NOW, "alice")
    assert [each.claim_alert("b", today, "0.8") for each in (opened(), ledger)] == [True, False]
