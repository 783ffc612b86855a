"""Budgets while their ledger is slow, unavailable, or has lost entries."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from support.budget_setup import ASK, START, URL
from support.servers import redis_server, until

from llmmetrics import BudgetExceeded

# a ledger that is away


@pytest.fixture
def redis(tmp_path):
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis", "--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


def test_calls_are_refused_while_the_ledger_is_away(made, redis):
    setup = made("100", ledger=redis.url)
    setup.call()
    redis.kill()
    for _ in range(2):
        with pytest.raises(BudgetExceeded, match="the ledger with the budget of 'b' cannot be reached") as caught:
            setup.call()
    assert (caught.value.reason, caught.value.spent) == ("ledger", 3)
    assert setup.refusals == {"ledger": 2}
    assert setup.spent is None
    # the one that failed; the other was not even tried
    assert setup.value("llmmetrics_ledger_errors_total", kind="unavailable") == 1
    redis.start()
    setup.clock.advance(seconds=2)
    setup.call()
    assert setup.spent == 6


def test_what_was_admitted_meanwhile_is_booked_once_when_it_is_back(made, redis):
    setup = made("100", ledger=redis.url, OnLedgerError="admit")
    setup.call()
    redis.kill()
    for _ in range(3):
        setup.call()
    redis.start()
    setup.clock.advance(seconds=2)
    until(lambda: setup.clock.advance(seconds=2) or setup.spent == 12, "the books")
    setup.call()
    assert setup.spent == 15


def test_what_was_admitted_survives_the_process(made, redis, tmp_path):
    """The next process that starts takes over its journal."""
    import os
    import subprocess
    import sys

    code = f"""
import sys
sys.path[:0] = {sys.path!r}
from support.budget_setup import Setup
setup = Setup("100", ledger={redis.url!r}, OnLedgerError="admit")
for _ in range(3): setup.call()
import os; os._exit(9)
"""
    redis.kill()
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ}, capture_output=True, check=False)
    assert done.returncode == 9, done.stderr
    assert list((tmp_path / "state/llmmetrics/journal").glob("*.journal"))
    redis.start()
    setup = made("100", ledger=redis.url)
    setup.call()
    assert setup.spent == 12
    assert not list((tmp_path / "state/llmmetrics/journal").glob("*.journal"))


def test_a_ledger_that_dies_between_reserve_and_settle(made, redis):
    setup = made("100", ledger=redis.url, Mode="strict")

    def answer(_):
        redis.kill()
        return httpx.Response(200, json={"model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 3}})

    setup.answer = answer
    assert setup.call(max_tokens=50).status_code == 200
    redis.start()
    setup.clock.advance(seconds=2)
    until(lambda: setup.clock.advance(seconds=2) or setup.spent == 3, "the booking")
    setup.answer = None
    assert setup.call(max_tokens=97).status_code == 200


def test_a_reservation_whose_answer_did_not_come_is_let_go(made, redis):
    """Redis stands still, so that the call is refused; then it does what it was asked to."""
    import os
    import signal

    setup = made("100", ledger=redis.url, Mode="strict")
    setup.call(max_tokens=90)
    os.kill(redis.process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(BudgetExceeded, match="ledger"):
            setup.call(max_tokens=90)
    finally:
        os.kill(redis.process.pid, signal.SIGCONT)
    ledger, window = setup.meter.engine.enforcer.ledger, setup.meter.engine.enforcer.budget.lines["b"].window
    held = lambda: ledger.balance("b", window, 0).reserved  # noqa: E731
    until(lambda: held() == 90 * 10**12, "the reservation")
    setup.clock.advance(seconds=2)
    assert setup.call(max_tokens=97).status_code == 200
    assert held() == 0


def test_a_ledger_that_lost_what_it_had_acknowledged_is_told_again(made, tmp_path):
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as redis:
        setup = made("100", ledger=redis.url)
        for _ in range(3):
            setup.call()
        # a failover to an empty replica
        redis.kill()
        redis.start()
        setup.call()
        assert setup.spent == 12
        assert setup.value("llmmetrics_ledger_errors_total", kind="shrank") == 1


@pytest.mark.parametrize(("policy", "refused"), [("refuse", True), ("admit", False)])
def test_a_loss_that_nobody_can_make_good(made, tmp_path, policy, refused):
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as redis:
        one, other = (made("100", ledger=redis.url, OnLedgerError=policy) for _ in range(2))
        one.call()
        other.call()
        assert one.call()
        redis.kill()
        redis.start()
        if refused:
            with pytest.raises(BudgetExceeded, match="ledger"):
                one.call()
            # an operator has seen to it
            from llmmetrics.budgets.ledgers import open_ledger

            ledger = open_ledger(redis.url, namespace="default")
            window = one.meter.engine.enforcer.budget.lines["b"].window
            ledger.reset("b", window, START, "alice")
            ledger.close()
            one.clock.advance(seconds=2)
        assert one.call()


def test_async_callers_are_not_held_up(made, redis):
    setup = made("30", ledger=redis.url)

    async def answer(request):
        await asyncio.sleep(0)
        return setup.reply(request)

    async def work():
        async with httpx.AsyncClient(transport=setup.meter.async_transport(httpx.MockTransport(answer))) as client:
            outcomes = await asyncio.gather(*(client.post(URL, json=ASK) for _ in range(5)))
            # one after the other: each sees what the last one came to
            for _ in range(5):
                outcomes.append(await client.post(URL, json=ASK))
            with pytest.raises(BudgetExceeded):
                await client.post(URL, json=ASK)
            return outcomes

    assert [each.status_code for each in asyncio.run(work())] == [200] * 10
    assert setup.spent == 30


def test_async_callers_are_not_held_up_by_a_file_that_somebody_has(made, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    setup = made("30", ledger=f"sqlite:///{tmp_path}/ledger.db")

    async def work():
        with (tmp_path / "ledger.db.lock").open() as file:

            async def answer(request):
                # between its admission and its bill
                fcntl.flock(file, fcntl.LOCK_EX)
                return setup.reply(request)

            async with httpx.AsyncClient(transport=setup.meter.async_transport(httpx.MockTransport(answer))) as client:
                assert (await client.post(URL, json=ASK)).status_code == 200
                fcntl.flock(file, fcntl.LOCK_UN)

    asyncio.run(work())
    until(lambda: setup.spent == 3, "the booking")
    assert setup.value("llmmetrics_ledger_errors_total") in (None, 0)


def test_a_caller_who_is_cancelled_while_the_ledger_reserves_leaves_nothing(made, redis):
    setup = made("100", ledger=redis.url, Mode="strict")

    async def work():
        transport = setup.meter.async_transport(httpx.MockTransport(setup.reply))
        async with httpx.AsyncClient(transport=transport) as client:
            task = asyncio.create_task(client.post(URL, json={**ASK, "max_tokens": 90}))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            until(lambda: setup.meter.engine.enforcer.worker.submit(lambda: True).result(), "the thread")
            assert (await client.post(URL, json={**ASK, "max_tokens": 100})).status_code == 200

    asyncio.run(work())
    assert setup.value("llm_active_requests") == 0


def test_a_scrape_does_not_wait_for_a_ledger_that_hangs(made, redis):
    import os
    import signal

    setup = made("100", ledger=redis.url)
    setup.call()
    os.kill(redis.process.pid, signal.SIGSTOP)
    try:
        assert setup.spent is None
        assert setup.value("llm_requests_total", status="success") == 1
    finally:
        os.kill(redis.process.pid, signal.SIGCONT)
    errors = sum(setup.value("llmmetrics_ledger_errors_total", kind=kind) or 0 for kind in ("slow", "unavailable"))
    assert errors >= 1


def test_a_redis_that_needs_a_password(made, tmp_path, caplog):
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis", "--requirepass", "s3cret") as redis:
        wrong = redis.url.replace("//", "//:wr0ng@")
        setup = made("100", ledger=wrong)
        with pytest.raises(BudgetExceeded) as caught:
            setup.call()
        assert "it refuses the password" in caplog.text
        assert "wr0ng" not in caplog.text + str(caught.value) + repr(setup.meter.settings)
        right = made("100", ledger=redis.url.replace("//", "//:s3cret@"))
        right.call()
        assert right.spent == 3


@pytest.mark.parametrize("mode", ["documented", "strict"])
def test_a_redis_whose_memory_is_full(made, tmp_path, caplog, mode):
    """A call that holds nothing writes nothing: the first may be let through, and what it cost waits."""
    (tmp_path / "redis").mkdir()
    from redis import Redis

    with redis_server(tmp_path / "redis", "--maxmemory-policy", "noeviction") as redis:
        setup = made("1000", ledger=redis.url, Mode=mode)
        setup.call(max_tokens=9)
        with Redis.from_url(redis.url) as other:
            # less than it has in use: filling it up would not do, since a server frees buffers at any moment
            other.config_set("maxmemory", 1)
            with pytest.raises(BudgetExceeded) as caught:
                any(setup.call(max_tokens=9) is None for _ in range(50))
            assert caught.value.reason == "ledger"
            assert "its memory is full: raise maxmemory" in caplog.text
            other.config_set("maxmemory", 0)
        setup.clock.advance(seconds=2)
        # nothing is held by the call that was refused
        setup.call(max_tokens=1000 - 3 * len(setup.sent))
        assert setup.spent == 3 * len(setup.sent)
