"""What a ledger does for named runs: marks that say until when they are kept, and forgetting them whole."""

from __future__ import annotations

from contextlib import closing

from redis import Redis
from support.ledger_calls import DAY, NOW, balance, reserve, settle

from llmmetrics.budgets.ledgers import CallId, open_ledger


def test_marks_are_read_by_their_beginning(ledger, opened):
    for mark, to in (("run-ends:a", 5), ("run-ends:b", 7), ("file-1", 3)):
        ledger.advance(mark, to)
    assert opened().marks("run-ends:") == {"run-ends:a": 5, "run-ends:b": 7}


def test_a_key_that_is_forgotten_leaves_nothing(ledger, opened):
    ledger.advance("b", 5)
    settle(ledger, 7, "a")
    reserve(ledger, 3, id="c")
    opened().forget("b")
    assert ledger.history("b") == []
    assert ledger.marks("b") == {}
    assert balance(ledger)[:2] == (0, 0)
    # the ids are new again
    assert settle(ledger, 4, "a").first


def test_nothing_in_redis_is_left_of_a_key(redis_url):
    ledger = open_ledger(redis_url, namespace="runs")
    ledger.advance("b", 5)
    reserve(ledger, 3, id="c")
    # out of order, so that it has a key of its own
    settle(ledger, 7, CallId("o", 5))
    ledger.reset("b", DAY.window(NOW), NOW, "alice")
    with Redis.from_url(redis_url, decode_responses=True) as client:
        assert len(client.keys("llmmetrics:{runs:b}*")) == 5
        ledger.forget("b")
        assert client.keys("llmmetrics:{runs:b}*") == []
    ledger.close()


def test_other_keys_stay(ledger):
    settle(ledger, 7, "a")
    ledger.advance("other", 1)
    ledger.forget("other")
    assert balance(ledger).spent == 7


def test_a_beginning_is_no_pattern(ledger):
    for mark in ("a*", "ab", "a[b]", "a?c", "a\\d"):
        ledger.advance(mark, 1)
    assert [set(ledger.marks(mark)) for mark in ("a*", "a[b]", "a?", "a\\")] == [{"a*"}, {"a[b]"}, {"a?c"}, {"a\\d"}]


def test_many_marks_are_all_read(redis_url):
    """A question reads a part of them."""
    ledger = open_ledger(redis_url, namespace="marks")
    ends = {f"run-ends:{n}": n + 1 for n in range(3000)}
    with closing(Redis.from_url(redis_url)) as client:
        client.hset("llmmetrics:{marks}:marks", mapping=ends | {f"counted:{n}": 1 for n in range(3000)})
    assert ledger.marks("run-ends:") == ends
