"""Ledgers that have lost what they had acknowledged: noticed, told again once, and then held back."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from support.budget_setup import START
from support.servers import redis_server, until

from llmmetrics import BudgetExceeded
from llmmetrics.budgets.ledgers import Basis, CallId, open_ledger
from llmmetrics.metrics.registry import PICO
from llmmetrics.settings.windows import ResetPeriod, WindowSchedule

DAY = WindowSchedule(ResetPeriod.DAILY).window(START)


@pytest.fixture
def redis(tmp_path):
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as server:
        yield server


def reset(url):
    ledger = open_ledger(url, namespace="default")
    ledger.reset("b", DAY, START, "alice")
    ledger.close()


def empty(url):
    with Redis.from_url(url) as client:
        client.flushall()


def shrank(setup):
    return setup.value("llmmetrics_ledger_errors_total", kind="shrank")


# after a reset


def test_a_loss_after_a_reset_is_noticed(made, redis):
    setup = made("100", ledger=redis.url)
    setup.call()
    reset(redis.url)
    for _ in range(2):
        setup.call()
    empty(redis.url)
    setup.call()
    assert (setup.spent, shrank(setup)) == (9, 1)


def test_a_loss_just_after_a_reset_is_noticed(made, redis):
    setup = made("100", ledger=redis.url)
    setup.call()
    reset(redis.url)
    assert setup.call().status_code == 200
    reset(redis.url)
    setup.spent  # noqa: B018 - a scrape
    setup.call()
    empty(redis.url)
    setup.call()
    assert (setup.spent, shrank(setup)) == (6, 1)


def test_a_reset_is_no_loss(made, redis):
    setup = made("100", ledger=redis.url)
    for _ in range(3):
        setup.call()
        reset(redis.url)
    setup.call()
    assert (setup.spent, shrank(setup)) == (3, 0)


# hidden by what is booked since


def test_a_loss_is_not_hidden_by_the_journal(made, redis):
    setup = made("100", ledger=redis.url, OnLedgerError="admit")
    for _ in range(5):
        setup.call()
    redis.kill()
    for _ in range(7):
        setup.call()
    redis.start()
    setup.clock.advance(seconds=2)
    setup.call()
    until(lambda: setup.spent == 39, "the bookings")
    assert shrank(setup) == 1


def test_a_loss_is_not_hidden_by_a_long_journal(made, redis, monkeypatch):
    monkeypatch.setattr("llmmetrics.budgets.resilient_ledger.BACKLOG", 3)
    setup = made("1000", ledger=redis.url, OnLedgerError="admit")
    for _ in range(5):
        setup.call()
    redis.kill()
    for _ in range(7):
        setup.call()
    redis.start()
    # the ledger's own thread books it
    until(lambda: setup.clock.advance(seconds=2) or setup.spent == 36, "the bookings")
    assert shrank(setup) == 1


@pytest.mark.parametrize("mode", ["documented", "strict"])
def test_a_loss_is_not_hidden_by_the_call_that_was_in_flight(made, redis, mode):
    setup = made("100", ledger=redis.url, Mode=mode)
    setup.call(max_tokens=3)

    def answer(_):
        empty(redis.url)
        setup.answer = None
        return setup.reply(_)

    setup.answer = answer
    # books as much as was lost
    setup.call(max_tokens=3)
    setup.call(max_tokens=3)
    assert (setup.spent, shrank(setup)) == (9, 1)


def test_a_loss_that_cannot_be_told_again_is_not_hidden_by_the_journal(made, redis):
    one, other = (made("100", ledger=redis.url, OnLedgerError="admit") for _ in range(2))
    one.call()
    for _ in range(3):
        other.call()
    one.call()
    redis.kill()
    for _ in range(9):
        one.call()
    redis.start()
    for _ in range(3):
        one.clock.advance(seconds=2)
        one.call()
    with Redis.from_url(redis.url):
        ledger = open_ledger(redis.url, namespace="default")
        assert ledger.balance("b", DAY, 0).spent == 6 * PICO
        # the other one tells its part
        other.clock.advance(seconds=2)
        other.call()
        until(lambda: one.clock.advance(seconds=2) or ledger.balance("b", DAY, 0).spent == 54 * PICO, "all of it")
        ledger.close()


# told again once


def commands(url):
    with Redis.from_url(url) as client:
        return client.info("stats")["total_commands_processed"]


@pytest.mark.parametrize("mode", ["documented", "strict"])
def test_a_loss_that_cannot_be_told_again_is_told_once(made, redis, mode):
    one, other = (made("1000", ledger=redis.url, Mode=mode) for _ in range(2))
    other.call(max_tokens=3)
    for _ in range(100):
        one.call(max_tokens=3)
    # both know of all
    assert one.spent == other.spent == 303
    empty(redis.url)
    with pytest.raises(BudgetExceeded, match="ledger"):
        one.call(max_tokens=3)
    before = commands(redis.url)
    for _ in range(10):
        one.clock.advance(seconds=2)
        with pytest.raises(BudgetExceeded, match="ledger"):
            one.call(max_tokens=3)
    # a script and what it does inside, at most
    assert commands(redis.url) - before < 200
    assert shrank(one) == 1
    # something changes: the other process tells its part
    other.clock.advance(seconds=2)
    other.call(max_tokens=3)
    one.clock.advance(seconds=2)
    assert one.call(max_tokens=3).status_code == 200
    assert one.spent == 309


def test_another_loss_is_told_again(made, redis):
    one, other = (made("1000", ledger=redis.url) for _ in range(2))
    other.call()
    one.call()
    for times in (1, 2):
        empty(redis.url)
        with pytest.raises(BudgetExceeded, match="ledger"):
            one.call()
        one.clock.advance(seconds=2)
        assert shrank(one) == times
        ledger = open_ledger(redis.url, namespace="default")
        assert ledger.balance("b", DAY, 0).spent == 3 * PICO
        ledger.close()


def test_a_reset_ends_a_loss_that_cannot_be_told_again(made, redis):
    one, other = (made("1000", ledger=redis.url) for _ in range(2))
    other.call()
    reset(redis.url)
    other.call()
    one.call()
    empty(redis.url)
    with pytest.raises(BudgetExceeded, match="ledger"):
        one.call()
    reset(redis.url)
    one.clock.advance(seconds=2)
    assert one.call().status_code == 200
    assert one.spent == 3


# a file that is deleted or replaced


def remove(path: Path, names):
    for each in names:
        path.with_name(each).unlink(missing_ok=True)


@contextmanager
def replaced(path: Path, how: str):
    names = ["ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db.lock"]
    if how == "deleted":
        remove(path, names)
    elif how == "only the database":
        remove(path, names[:1])
    elif how == "the lock alone":
        remove(path, names[3:])
    else:
        remove(path, names[1:])
        other = open_ledger(f"sqlite:///{path}.new", namespace="default")
        other.settle("b", CallId("x", 0), PICO, Basis.KNOWN, START, DAY)
        other.close()
        path.with_name("ledger.db.new").replace(path)
    yield


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be deleted")
@pytest.mark.parametrize("mode", ["documented", "strict"])
@pytest.mark.parametrize(
    ("how", "more", "losses"),
    [("deleted", 0, 1), ("only the database", 0, 1), ("another one", 1, 1), ("the lock alone", 0, 0)],
)
def test_a_file_that_is_replaced_under_a_running_process(made, tmp_path, mode, how, more, losses):
    path = tmp_path / "ledger.db"
    one, other = (made(str(18 + more), ledger=f"sqlite:///{path}", Mode=mode) for _ in range(2))
    for each in (one, other, one):
        each.call(max_tokens=3)
    with replaced(path, how):
        for each in (one, other):
            each.meter.engine.enforcer.budget.recur()
            assert each.spent is not None
        assert [shrank(each) for each in (one, other)] == [losses] * 2
        assert one.spent == other.spent == 9 + more
        for each in (other, one):
            assert each.call(max_tokens=3).status_code == 200
    third = made(str(18 + more), ledger=f"sqlite:///{path}", Mode=mode)
    assert third.spent == 15 + more
    assert third.call(max_tokens=3).status_code == 200
    with pytest.raises(BudgetExceeded, match=r"spent \$18|spent \$19"):
        one.call(max_tokens=3)


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be deleted")
def test_a_directory_that_is_deleted_under_a_running_process(made, tmp_path):
    (tmp_path / "state").mkdir()
    path = tmp_path / "state/ledger.db"
    setup = made("100", ledger=f"sqlite:///{path}")
    setup.call()
    for each in path.parent.iterdir():
        if each.is_file():
            each.unlink()
    path.parent.rename(tmp_path / "gone")
    assert setup.call().status_code == 200
    assert (setup.spent, shrank(setup)) == (6, 1)
