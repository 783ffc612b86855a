"""`llm_provider` over WebSockets: OpenAI's Realtime and Responses, with the official SDK."""

from __future__ import annotations

import asyncio
import json

import pytest

from llmmetrics import Meter
from llmmetrics.testing import CannotExpressError
from pytest_llmmetrics import faults
from pytest_llmmetrics.provider import LlmProvider, answering

openai = pytest.importorskip("openai")
websockets = pytest.importorskip("websockets")
blocking = pytest.importorskip("websockets.sync.client")
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


REALTIME = "wss://api.openai.com/v1/realtime?model=gpt-realtime"
RESPONSES = "wss://api.openai.com/v1/responses"
ENDS = ("response.done", "response.completed", "response.failed", "error")
ASK = {"type": "response.create", "model": "gpt-5.4", "input": "Say hi."}


def ending(url, message):
    """Send a message; return the type of the last event, or the code and the reason of the server's close."""
    with blocking.connect(url) as connection:
        try:
            connection.send(message)
            while (kind := json.loads(connection.recv(timeout=30))["type"]) not in ENDS:
                continue
        except websockets.ConnectionClosed as exc:
            return exc.rcvd and (exc.rcvd.code, exc.rcvd.reason)
    return kind


NO_MESSAGES = {
    "connect_timeout",
    "read_timeout",
    "write_timeout",
    "pool_timeout",
    "stall",
    "malformed",
    "html",
    "empty",
}


@pytest.mark.parametrize(
    ("url", "refused"),
    # an error of Realtime has a code, and no HTTP status
    [(RESPONSES, NO_MESSAGES), (REALTIME, NO_MESSAGES | {"forbidden", "gateway_timeout"})],
)
def test_every_fault_is_counted_as_its_table_says_or_is_refused(llm_metrics, url, refused):
    with answering(script := LlmProvider()):
        for name, fault in faults.FAULTS.items():
            script.fail(fault, text="one two three four")
            with llm_metrics.during() as part:
                end = ending(url, json.dumps(ASK))
            if name in refused:
                assert end[0] == 1011
                assert f"the fault {name!r}" in end[1]
                assert f"the fault {name!r}" in script.problems.pop()
            else:
                assert [(each.status, each.error_type) for each in part.records] == [(fault.status, fault.error_type)]
    assert script.problems == []


def test_a_refused_fault_names_those_that_can_be_used():
    with answering(script := LlmProvider()):
        script.fail(faults.stall_after(1))
        ending(RESPONSES, json.dumps(ASK))
    (problem,) = script.problems
    assert "use one of rate_limit, rate_limit_bare" in problem
    assert "error_in_200" in problem
    assert "html" not in problem


@pytest.mark.parametrize("url", [RESPONSES, REALTIME])
@pytest.mark.parametrize("message", ["hello", "[]", "{}", '{"type": 3}', b"\x00"], ids=repr)
def test_what_no_provider_understands(url, message):
    with answering(script := LlmProvider()):
        code, reason = ending(url, message)
    assert code == 1011
    assert script.problems == [reason]
    assert "is no JSON object with a `type`" in reason


@pytest.mark.parametrize("url", [RESPONSES, REALTIME])
def test_a_misspelt_type_does_not_leave_the_client_waiting(url):
    with answering(script := LlmProvider()):
        code, reason = ending(url, '{"type": "response.creat"}')
    assert code == 1011
    assert script.problems == [reason]
    assert "the type 'response.creat' is unknown, use response.create or response.cancel" in reason


@pytest.mark.parametrize("response", ["text", 3, ["x"]], ids=repr)
def test_a_response_that_is_no_object(response):
    with answering(script := LlmProvider()):
        script.reply("hi")
        code, reason = ending(REALTIME, json.dumps({"type": "response.create", "response": response}))
    assert (code, script.problems) == (1011, [reason])
    assert "`response` should be an object" in reason
    assert len(script.unused) == 1


@pytest.mark.parametrize("response", [None, {}, {"tools": 5, "input": 7, "model": 3, "stream": False}], ids=repr)
def test_values_that_the_script_does_not_read(response):
    with answering(script := LlmProvider()):
        script.reply("hi")
        assert ending(REALTIME, json.dumps({"type": "response.create", "response": response})) == "response.done"


def test_a_long_reason_in_another_script():
    with answering(script := LlmProvider()):
        code, reason = ending(RESPONSES, json.dumps({**ASK, "model": "模" * 200}))
    assert code == 1011
    assert script.problems[0].startswith(reason)


def test_what_is_not_scripted_is_named_as_it_was_asked():
    with answering(script := LlmProvider()):
        ending(REALTIME, json.dumps(ASK))
        ending(RESPONSES, json.dumps(ASK))
    assert script.problems == [
        "WEBSOCKET api.openai.com/v1/realtime (model gpt-realtime) was not scripted",
        "WEBSOCKET api.openai.com/v1/responses (model gpt-5.4) was not scripted",
    ]


def test_a_websocket_of_aiohttp_says_so():
    aiohttp = pytest.importorskip("aiohttp")

    async def talk():
        async with aiohttp.ClientSession() as session:
            await session.ws_connect(REALTIME)

    with answering(script := LlmProvider()), pytest.raises(CannotExpressError, match="open it with `websockets`"):
        asyncio.run(talk())
    assert len(script.problems) == 1


def test_a_websocket_of_aiohttp_to_this_machine_passes():
    aiohttp = pytest.importorskip("aiohttp")
    metered = Meter.from_settings({"Backends": [{"Name": "own", "Type": "OpenAI", "BaseUrl": "http://127.0.0.1:9/v1"}]})

    async def talk():
        async with aiohttp.ClientSession() as session:
            await session.ws_connect("ws://127.0.0.1:9/v1/realtime")

    with metered, answering(script := LlmProvider()), pytest.raises(aiohttp.ClientConnectorError):
        asyncio.run(talk())
    assert script.problems == []


def test_a_spent_budget_sends_nothing(llm_provider, llm_metrics, llm_budget, client):
    llm_budget.set("openai", "1")
    llm_budget.exhaust("openai")
    with pytest.raises(Exception, match="budget"), client.realtime.connect(model="gpt-realtime") as connection:
        connection.response.create()
    assert llm_provider.requests == []
    assert llm_metrics.attempts == 0
