"""Budgets through real clients: what is admitted, refused, booked, shown, and what happens when the ledger is away."""

from __future__ import annotations

import asyncio
import gc
import logging
import pickle
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest
from prometheus_client import CollectorRegistry
from support.budget_setup import ASK, START, URL
from support.servers import redis_server, until

import llmmetrics
from llmmetrics import BudgetExceeded, ConfigError, Meter, SpendAlert, budget_exceeded
from llmmetrics.errors import LedgerError
from llmmetrics.testing import Answer, faults, serve

# documented: the guide's


def test_a_backend_whose_spend_has_reached_its_limit_takes_no_calls(made):
    setup = made("6")
    setup.call()
    assert setup.spent == 3
    setup.call()
    with pytest.raises(BudgetExceeded) as caught:
        setup.call()
    exceeded = caught.value
    assert (exceeded.backend, exceeded.reason, exceeded.spent, exceeded.limit) == ("b", "limit", 6, 6)
    assert exceeded.window_start == datetime(2026, 11, 24, tzinfo=UTC)
    assert exceeded.resets_at == datetime(2026, 11, 25, tzinfo=UTC)
    assert "'b' has spent $6" in str(exceeded)
    assert "accepts calls again at 2026-11-25T00:00:00+00:00" in str(exceeded)
    assert budget_exceeded(exceeded) is exceeded
    again = pickle.loads(pickle.dumps(exceeded))
    assert (again.args, str(again)) == (exceeded.args, str(exceeded))
    assert not isinstance(exceeded, httpx.HTTPError)


def test_a_refused_call_is_no_request(made):
    setup = made("3")
    setup.call()
    before = setup.value("llm_requests_total"), setup.value("llm_request_duration_seconds_count")
    with pytest.raises(BudgetExceeded):
        setup.call()
    assert len(setup.sent) == 1
    assert (setup.value("llm_requests_total"), setup.value("llm_request_duration_seconds_count")) == before
    assert setup.value("llm_errors_total") == 0
    assert setup.value("llm_active_requests") == 0
    assert setup.refusals == {"limit": 1}


def test_the_next_window_begins_at_0_without_a_request(made):
    setup = made("3")
    setup.call()
    with pytest.raises(BudgetExceeded):
        setup.call()
    assert (setup.spent, setup.value("llm_backend_health", backend="b")) == (3, 0)
    setup.clock.advance(hours=11, minutes=30)
    assert (setup.spent, setup.value("llm_backend_health", backend="b")) == (0, 1)
    assert setup.call().status_code == 200
    assert setup.value("llm_backend_budget_usd", limit_type="max") == 3


def test_a_scrape_says_when_the_window_began_and_when_the_next_begins(made):
    setup = made("3")
    edges = lambda: [setup.value("llmmetrics_budget_window_timestamp_seconds", edge=each) for each in ("start", "end")]  # noqa: E731
    today = START.replace(hour=0, minute=0)
    assert edges() == [(today + timedelta(days=each)).timestamp() for each in (0, 1)]
    setup.clock.advance(days=1)
    assert edges() == [(today + timedelta(days=each)).timestamp() for each in (1, 2)]


def test_a_window_that_never_ends_has_no_edges(made):
    setup = made("3", backend={"SpendResetPeriod": "Never"})
    assert setup.value("llm_backend_budget_usd", limit_type="max") == 3
    assert setup.value("llmmetrics_budget_window_timestamp_seconds", backend="b") is None


def test_what_a_ledger_may_fail_at_is_known_with_0_from_the_start(made):
    setup = made("3")
    kinds = ("unavailable", "slow", "shrank", "damaged", "internal")
    assert [setup.value("llmmetrics_ledger_errors_total", kind=each) for each in kinds] == [0] * 5


def test_calls_in_flight_overshoot_by_their_own_cost_at_most(made):
    setup = made("4")
    started = []

    def answer(_):
        # while this one is in flight, another begins
        if len(started) < 3:
            started.append(True)
            setup.call()
        return httpx.Response(200, json={"model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 3}})

    setup.answer = answer
    setup.call()
    assert setup.spent == 12
    with pytest.raises(BudgetExceeded):
        setup.call()


@pytest.mark.parametrize(
    ("answer", "booked"),
    [
        (lambda _: httpx.Response(500, json={}), 0),
        (lambda _: httpx.Response(307, headers={"location": "/elsewhere"}), 0),
        # no usage on the wire: three digits of it passed, and its end
        (lambda _: httpx.Response(200, json={"choices": [{"message": {"content": "123"}}]}), 2),
    ],
    ids=["error", "redirect", "estimate"],
)
def test_what_a_call_came_to_is_what_is_booked(made, answer, booked):
    setup = made("100", answer=answer)
    setup.call()
    assert setup.spent == booked
    assert setup.spent == (setup.value("llm_estimated_cost_usd") or 0)


def test_a_call_that_was_never_sent_costs_nothing(made):
    def refuse(request):
        raise httpx.ConnectError("refused", request=request)

    setup = made("100", answer=refuse, Mode="strict")
    with pytest.raises(httpx.ConnectError):
        setup.call(max_tokens=50)
    assert setup.spent == 0
    setup.answer = None
    # nothing is held any more
    assert setup.call(max_tokens=100).status_code == 200


def test_a_dropped_answer_is_booked_without_another_call(made):
    class Body(httpx.SyncByteStream):
        def __iter__(self):
            yield b'data: {"choices": [{"delta": {"content": "123"}}]}\n\n'
            yield b"data: more\n\n"

    setup = made("100", answer=lambda _: httpx.Response(200, stream=Body()))
    response = setup.client.send(setup.client.build_request("POST", URL, json={**ASK, "stream": True}), stream=True)
    next(iter(response.iter_raw()))
    del response
    until(
        lambda: gc.collect() is not None and setup.meter.engine.enforcer.budget.ledger.history()[0].spent, "its booking"
    )
    assert setup.spent == 2


# strict


def test_strict_reserves_the_worst_case_first(made):
    setup = made("10", Mode="strict")
    inside = []

    def answer(_):
        inside.append(setup.value("llm_backend_budget_usd", limit_type="current"))
        # seven are held: no more than three can be
        with pytest.raises(BudgetExceeded) as caught:
            setup.call(max_tokens=4)
        inside.append((caught.value.spent, caught.value.reserved))
        return httpx.Response(200, json={"model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 3}})

    setup.answer = answer
    setup.call(max_tokens=7)
    assert inside == [0, (0, 7)]
    assert setup.spent == 3
    setup.answer = None
    assert setup.call(max_tokens=7).status_code == 200


def test_strict_refuses_what_might_cost_too_much(made):
    setup = made("10", Mode="strict")
    with pytest.raises(BudgetExceeded):
        setup.call(max_tokens=11)
    # without a bound it is the model's maximum
    with pytest.raises(BudgetExceeded):
        setup.call()
    assert setup.sent == []
    assert setup.call(max_tokens=10).status_code == 200


# shadow


def test_shadow_refuses_nothing_and_counts_what_it_would(made):
    setup = made("3", Mode="shadow")
    for _ in range(3):
        setup.call()
    assert setup.spent == 9
    assert setup.refusals == {}
    assert setup.value("llmmetrics_budget_shadow_refusals_total", reason="limit") == 2
    assert setup.value("llm_backend_health", backend="b") == 1


# what a strict refusal says

TOMORROW = "2026-11-25T00:00:00+00:00"


@pytest.mark.parametrize(
    ("limit", "calls", "ask", "max_tokens", "text"),
    [
        # what is left is enough for less output
        (
            "10",
            2,
            {"max_tokens": 9},
            4,
            f"Set max_tokens to 4 or less, which bounds the cost, or call again at {TOMORROW}",
        ),
        ("10", 0, {"max_tokens": 11}, 10, "Set max_tokens to 10 or less, which bounds the cost, or raise MaxSpendUsd"),
        ("10", 0, {"max_tokens": 7, "n": 2}, 5, "Set max_tokens to 5 or less"),
        # without a bound it is the context window
        ("10", 0, {}, 10, "Set max_tokens to 10 or less, which bounds the cost, or raise MaxSpendUsd"),
        # nothing is left: the next window
        ("6", 2, {"max_tokens": 3}, None, f"It takes this call again at {TOMORROW}"),
        # neither
        ("6", 2, {"max_tokens": 7}, None, "Neither max_tokens now nor the next window alone lets it through"),
        ("2", 0, {"max_tokens": 7, "n": 3}, None, "Neither max_tokens now nor the next window alone lets it through"),
    ],
)
def test_a_strict_refusal_says_what_would_let_the_call_through(made, limit, calls, ask, max_tokens, text):
    setup = made(limit, Mode="strict")
    for _ in range(calls):
        setup.call(max_tokens=3)
    with pytest.raises(BudgetExceeded) as caught:
        setup.call(**ask)
    refusal = caught.value
    cost = ask.get("max_tokens", 200_000) * ask.get("n", 1)
    assert (refusal.could_cost, refusal.max_tokens) == (cost, max_tokens)
    left = int(limit) - 3 * calls
    assert f"this call could cost ${cost}, and 'b' has ${left} left: it has spent ${3 * calls} of its" in str(refusal)
    assert text in str(refusal)
    assert pickle.loads(pickle.dumps(refusal)).args == refusal.args
    answer = setup.client.post(URL, json={**ASK, **ask}, headers={"x-stainless-lang": "python"})
    with pytest.raises(httpx.HTTPStatusError) as status:
        answer.raise_for_status()
    assert budget_exceeded(status.value).args == refusal.args
    if max_tokens:
        assert setup.call(**{**ask, "max_tokens": max_tokens}).status_code == 200


def test_a_strict_refusal_of_a_window_that_never_ends(made):
    setup = made("6", Mode="strict", backend={"SpendResetPeriod": "Never"})
    for _ in range(2):
        setup.call(max_tokens=3)
    with pytest.raises(BudgetExceeded, match=r"could cost \$3, .* Raise MaxSpendUsd, or `llmmetrics budget reset`"):
        setup.call(max_tokens=3)


# prices


NOBODY_KNOWS = {"ModelName": None, "CostPerMillionInputTokens": None, "CostPerMillionOutputTokens": None}


def test_a_call_whose_price_nobody_knows(made):
    setup = made(backend=NOBODY_KNOWS)
    with pytest.raises(BudgetExceeded, match="no price is known for this call at 'b'"):
        setup.call(model="no-such-model")
    assert setup.refusals == {"unknown_price": 1}
    # the catalogue knows this one
    assert setup.call(model="gpt-4o-mini").status_code == 200


def test_it_may_be_let_through(made):
    setup = made(backend=NOBODY_KNOWS, OnUnknownPrice="warn")
    assert setup.call(model="no-such-model").status_code == 200
    assert setup.spent == 0


def test_a_limited_backend_without_a_price_is_an_error_at_start(made):
    with pytest.raises(ConfigError, match="'b' has MaxSpendUsd, and no price is known for its model 'm'"):
        made(backend={**NOBODY_KNOWS, "ModelName": "m"})
    assert made(backend={**NOBODY_KNOWS, "ModelName": "m"}, OnUnknownPrice="warn")


def test_budgets_hold_without_metrics(tmp_path):
    meter = Meter.from_settings(
        {
            "Telemetry": {"EnableMetrics": False},
            "Budget": {"Ledger": "memory://"},
            "Backends": [
                {
                    "Name": "b",
                    "MaxSpendUsd": 3,
                    "CostPerMillionInputTokens": 0,
                    "CostPerMillionOutputTokens": 1_000_000,
                }
            ],
        },
        registry=CollectorRegistry(),
    )
    reply = httpx.Response(200, json={"model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 3}})
    client = httpx.Client(transport=meter.transport(httpx.MockTransport(lambda _: reply)))
    client.post(URL, json=ASK)
    with pytest.raises(BudgetExceeded):
        client.post(URL, json=ASK)
    meter.close()


# every door


@pytest.mark.parametrize("door", ["transport", "wrap", "instrument"])
def test_every_door_refuses(made, door):
    setup = made("3")
    inner = httpx.MockTransport(setup.reply)
    client = httpx.Client(transport=setup.meter.transport(inner) if door == "transport" else inner)
    if door == "wrap":
        setup.meter.wrap(client)
    if door == "instrument":
        llmmetrics.instrument(setup.meter)
    try:
        client.post(URL, json=ASK)
        with pytest.raises(BudgetExceeded):
            client.post(URL, json=ASK)
        answer = client.post(URL, json=ASK, headers={"x-stainless-lang": "python"})
    finally:
        llmmetrics.uninstrument()
    assert answer.status_code == 402
    assert answer.json()["error"]["code"] == "budget_exceeded"
    assert answer.headers["x-should-retry"] == "false"
    assert answer.request.url == URL
    assert len(setup.sent) == 1
    with pytest.raises(httpx.HTTPStatusError) as caught:
        answer.raise_for_status()
    assert budget_exceeded(caught.value).args == (
        "b",
        "limit",
        3,
        0,
        3,
        START.replace(hour=0, minute=0),
        START.replace(day=25, hour=0, minute=0),
        None,
        None,
    )


@pytest.mark.parametrize(("how", "sdk", "raises"), [("raise", True, True), ("respond", False, False)])
def test_how_a_refusal_reaches_the_caller_may_be_set(made, how, sdk, raises):
    setup = made("3", OnBudgetExceeded=how)
    setup.call()
    headers = {"user-agent": "OpenAI/Python 3.1"} if sdk else {}
    if raises:
        with pytest.raises(BudgetExceeded):
            setup.client.post(URL, json=ASK, headers=headers)
    else:
        assert setup.client.post(URL, json=ASK, headers=headers).status_code == 402


def test_another_exception_has_no_budget_behind_it():
    assert budget_exceeded(ValueError()) is None
    assert budget_exceeded(None) is None


# alerts


def test_alerts_are_given_once_a_window(made, caplog):
    told = []
    setup = made("10", SpendAlerts=[0.5, 0.8, 1.0], on_spend_alert=told.append)
    with caplog.at_level(logging.WARNING, "llmmetrics"):
        for _ in range(4):
            setup.call()
    until(lambda: len(told) == 3, "the alerts")
    assert [alert.share for alert in told] == [Decimal("0.5"), Decimal("0.8"), Decimal("1.0")]
    assert told[0] == SpendAlert(
        "b", Decimal("0.5"), 6, 10, START.replace(hour=0, minute=0), START.replace(day=25, hour=0, minute=0)
    )
    assert len([record for record in caplog.records if "has spent $" in record.getMessage()]) == 3
    setup.clock.advance(days=1)
    for _ in range(2):
        setup.call()
    until(lambda: len(told) == 4, "the next window's alert")


def test_a_hook_that_fails_harms_nobody(made):
    setup = made("10", SpendAlerts=[0.1], on_spend_alert=lambda _: 1 / 0)
    assert setup.call().status_code == 200
    assert setup.spent == 3
    assert setup.call().status_code == 200
    until(lambda: setup.value("llmmetrics_internal_errors_total", where="on_spend_alert") == 1, "the count")


@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_hook_may_make_metered_calls(made, redis, tmp_path, kind, asynchronous):
    answers = []

    async def ask():
        transport = setup.meter.async_transport(httpx.MockTransport(setup.reply))
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.post(URL, json=ASK)

    def hook(_):
        answers.append((asyncio.run(ask()) if asynchronous else setup.call()).status_code)

    ledger = redis.url if kind == "redis" else f"sqlite:///{tmp_path}/ledger.db"
    setup = made("100", ledger=ledger, SpendAlerts=[0.01], on_spend_alert=hook)
    asyncio.run(ask())
    until(lambda: answers == [200], "the hook's call")
    until(lambda: setup.spent == 6, "both bookings")


def test_a_hook_may_close_its_meter(made, redis):
    closed = []

    def hook(_):
        setup.meter.close()
        closed.append(True)

    setup = made("100", ledger=redis.url, SpendAlerts=[0.01], on_spend_alert=hook)
    setup.call()
    until(lambda: closed, "the end of the meter")


def test_a_hook_that_takes_long_holds_up_no_call(made):
    go_on = threading.Event()
    setup = made("100", SpendAlerts=[0.01], on_spend_alert=lambda _: go_on.wait(60))
    try:
        assert [setup.call().status_code for _ in range(3)] == [200] * 3
        assert setup.spent == 9
    finally:
        go_on.set()


def test_the_alerts_of_the_last_calls_are_told_before_the_end(made):
    told = []
    setup = made("100", SpendAlerts=[0.01, 0.02], on_spend_alert=told.append)
    setup.call()
    setup.meter.close()
    assert len(told) == 2


# start


def test_the_ledger_and_its_reach_are_said_at_start(made, caplog, monkeypatch, tmp_path):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with caplog.at_level(logging.INFO, "llmmetrics"):
        setup = made(ledger=None)
    assert (
        f"the budgets of b are kept in sqlite:///{tmp_path}/state/llmmetrics/budget-default.db: this machine only"
        in caplog.text
    )
    assert "under Kubernetes every pod has a budget of its own" in caplog.text
    setup.call()
    # another process, or the same one after a restart
    assert made(ledger=None).spent == 3


@pytest.mark.parametrize(
    "url", ["sqlite://x", "sqlite:///", "postgres://h/x", "redis://", "redis:///0", "memory", "", "redis://h:x/0"]
)
def test_a_ledger_with_a_typo(made, url):
    with pytest.raises(ConfigError, match=r"LlmSettings\.Budget\.Ledger"):
        made(ledger=url)


def test_a_read_only_disk(made):
    with pytest.raises(ConfigError, match=r"LlmSettings\.Budget\.Ledger: /proc/none/ledger.db cannot be written"):
        made(ledger="sqlite:////proc/none/ledger.db")


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
    assert list((tmp_path / "state/llmmetrics/journal").glob("*.jsonl"))
    redis.start()
    setup = made("100", ledger=redis.url)
    setup.call()
    assert setup.spent == 12
    assert not list((tmp_path / "state/llmmetrics/journal").glob("*.jsonl"))


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
    held = lambda: ledger.balance("b", window, START).reserved  # noqa: E731
    until(lambda: held() == 90 * 10**9, "the reservation")
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


def test_the_simulated_provider_s_errors_cost_nothing(made):
    with serve(Answer(prompt_tokens=5, completion_tokens=3)) as provider:
        setup = made("100", backend={"BaseUrl": provider.url})
        transport = setup.meter.transport(family="httpx")
        with httpx.Client(transport=transport) as client:
            provider.script(faults.RATE_LIMIT, faults.SERVER_ERROR)
            for _ in range(3):
                client.post(f"{provider.url}/v1/chat/completions", json=ASK)
    assert setup.spent == 3


def test_a_ledger_error_is_one_of_ours():
    assert issubclass(LedgerError, llmmetrics.LlmMetricsError)
