"""`llm_provider` over WebSockets: OpenAI's Realtime and Responses, with the official SDK."""

from __future__ import annotations

import asyncio

import pytest

from pytest_llmmetrics import faults
from pytest_llmmetrics.provider import LlmProvider, answering

openai = pytest.importorskip("openai")
websockets = pytest.importorskip("websockets")
# the SDK calls a function of `websockets` as it was before version 17
pytestmark = pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager:DeprecationWarning")


@pytest.fixture
def client():
    with openai.OpenAI(api_key="x") as client:
        yield client


def receive_until(connection, *types):
    while (event := connection.recv()).type not in types:
        continue
    return event


def test_realtime(llm_provider, llm_metrics, client):
    llm_provider.reply("one", prompt_tokens=120, completion_tokens=30, cache_read=20).reply("two", prompt_tokens=7)
    with client.realtime.connect(model="gpt-realtime") as connection:
        for _ in range(2):
            connection.response.create(response={"instructions": "Say hi."})
            event = receive_until(connection, "response.done")
    assert event.response.usage.total_tokens == 15
    assert llm_metrics.tokens == {"prompt": 127, "completion": 38, "total": 165}
    assert [each.status for each in llm_metrics.records] == ["success", "success"]
    assert [each.model for each in llm_provider.requests] == ["gpt-realtime", "gpt-realtime"]


def test_responses_async(llm_provider, llm_metrics):
    llm_provider.reply("hi", prompt_tokens=120, completion_tokens=30)

    async def ask():
        async with openai.AsyncOpenAI(api_key="x") as client, client.responses.connect() as connection:
            await connection.response.create(model="gpt-5.4", input="Say hi.")
            texts = []
            while (event := await connection.recv()).type != "response.completed":
                texts += [event.delta] if event.type == "response.output_text.delta" else []
            return "".join(texts)

    assert asyncio.run(ask()) == "hi"
    assert llm_metrics.tokens == {"prompt": 120, "completion": 30, "total": 150}
    assert llm_provider.requests[0].model == "gpt-5.4"


def test_a_refused_response_is_an_error_event(llm_provider, llm_metrics, client):
    llm_provider.fail(faults.RATE_LIMIT).then.reply("hi")
    with client.realtime.connect(model="gpt-realtime") as connection:
        connection.response.create()
        assert receive_until(connection, "error").error.type
        connection.response.create()
        receive_until(connection, "response.done")
    assert [each.status for each in llm_metrics.records] == ["failure", "success"]
    assert llm_metrics.errors == {"rate_limit": 1}


@pytest.mark.parametrize("fault", [faults.CUT, faults.RESET], ids=lambda fault: fault.name)
def test_a_lost_connection_is_the_library_s_own_exception(llm_provider, llm_metrics, client, fault):
    llm_provider.fail(fault, text="one two three four")
    with client.realtime.connect(model="gpt-realtime") as connection:
        connection.response.create()
        with pytest.raises(websockets.ConnectionClosedError):
            receive_until(connection, "response.done")
    assert llm_metrics.errors == {"network": 1}


def test_what_is_not_scripted_closes_the_websocket(client):
    with answering(script := LlmProvider()), client.realtime.connect(model="gpt-realtime") as connection:
        connection.response.create()
        with pytest.raises(websockets.ConnectionClosedError) as caught:
            receive_until(connection, "response.done")
    assert caught.value.rcvd.code == 1011
    assert "was not scripted" in caught.value.rcvd.reason
    assert len(script.problems) == 1


def test_a_spent_budget_sends_nothing(llm_provider, llm_metrics, llm_budget, client):
    llm_budget.set("openai", "1")
    llm_budget.exhaust("openai")
    with pytest.raises(Exception, match="budget"), client.realtime.connect(model="gpt-realtime") as connection:
        connection.response.create()
    assert llm_provider.requests == []
    assert llm_metrics.attempts == 0
