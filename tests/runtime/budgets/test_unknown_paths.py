"""A spent budget stops everything that may be billed, also a path that no table knows; what is free passes."""

from __future__ import annotations

import asyncio
import logging

import httpx
import pytest
from support.budget_setup import Setup

from llmmetrics import BudgetExceeded

HOST = "https://api.openai.com"
UNKNOWN = f"{HOST}/v1/tomorrow"
FREE = (
    ("POST", "/v1/moderations"),
    ("POST", "/v1/responses/resp_1/cancel"),
    ("GET", "/v1/responses/resp_1"),
    ("GET", "/v1/models"),
    ("DELETE", "/v1/files/f"),
    ("GET", "/v1/tomorrow"),
)


@pytest.fixture(params=["documented", "strict"])
def setup(request):
    setup = Setup("3", Mode=request.param)
    yield setup
    setup.meter.close()


def test_it_passes_while_something_is_left_and_is_said_once(setup, caplog):
    with caplog.at_level(logging.WARNING, "llmmetrics"):
        for _ in range(3):
            assert setup.client.post(UNKNOWN, json={}).status_code == 200
    (said,) = [record.message for record in caplog.records if "tomorrow" in record.message]
    assert said.startswith(f"POST {UNKNOWN} is neither a call nor known to be free")
    assert setup.value("llmmetrics_unmetered_requests_total", backend="b") == 3
    assert not setup.value("llm_requests_total", model="unknown")
    assert setup.spent == 0


def test_a_spent_budget_refuses_it(setup):
    setup.call(max_tokens=3)
    sent = len(setup.sent)
    with pytest.raises(BudgetExceeded) as refused:
        setup.client.post(UNKNOWN, json={})
    assert refused.value.reason == "limit"
    assert len(setup.sent) == sent
    assert setup.refusals == {"limit": 1}


def test_an_sdk_gets_an_answer(setup):
    setup.call(max_tokens=3)
    answer = setup.client.post(UNKNOWN, json={}, headers={"user-agent": "openai/python"})
    assert (answer.status_code, answer.headers["x-should-retry"]) == (402, "false")
    assert answer.json()["error"]["code"] == "budget_exceeded"


@pytest.mark.parametrize("request_line", FREE, ids=" ".join)
def test_what_is_free_passes_a_spent_budget(setup, request_line):
    setup.call(max_tokens=3)
    method, path = request_line
    assert setup.client.request(method, HOST + path).status_code == 200
    assert setup.refusals == {}


def test_async(tmp_path):
    setup = Setup("3", ledger=f"sqlite:///{tmp_path}/ledger.db")

    async def ask():
        transport = setup.meter.async_transport(httpx.MockTransport(setup.reply), family="httpx")
        async with httpx.AsyncClient(transport=transport) as client:
            assert (await client.post(UNKNOWN, json={})).status_code == 200
            await client.post(f"{HOST}/v1/chat/completions", json={"model": "m"})
            with pytest.raises(BudgetExceeded):
                await client.post(UNKNOWN, json={})

    asyncio.run(ask())
    setup.meter.close()


def test_shadow_refuses_nothing():
    setup = Setup("3", Mode="shadow")
    setup.call()
    assert setup.client.post(UNKNOWN, json={}).status_code == 200
    setup.meter.close()


def test_a_backend_without_a_limit_is_not_asked(setup, caplog):
    client = httpx.Client(transport=setup.meter.transport(httpx.MockTransport(setup.reply), family="httpx"))
    with caplog.at_level(logging.WARNING, "llmmetrics"):
        assert client.post("https://api.anthropic.com/v1/tomorrow", json={}).status_code == 200
    assert not [record for record in caplog.records if "tomorrow" in record.message]
