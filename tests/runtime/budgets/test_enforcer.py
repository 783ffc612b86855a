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
        ("6", 2, {"max_tokens": 3}, None, f"It accepts this call again at {TOMORROW}"),
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
    with pytest.raises(BudgetExceeded, match=r"could cost \$3, .* Raise MaxSpendUsd, or run `llmmetrics budget reset`"):
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
