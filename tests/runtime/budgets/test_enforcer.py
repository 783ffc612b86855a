"""Budgets through real clients: what is admitted, refused, booked and shown, and how a ledger is opened."""

from __future__ import annotations

import gc
import logging
import pickle
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from support.budget_setup import ASK, START, URL
from support.servers import until

import llmmetrics
from llmmetrics import BudgetExceeded, ConfigError, budget_exceeded
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


# other answers


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
