"""Every door, alone and above another: calls are what the server got, once each, with their usage, status and cost."""

from __future__ import annotations

import asyncio
import gc
import json

import pytest
from support.http_clients import ASK, HTTP_CLIENTS, MODEL, STREAM

import llmmetrics
from llmmetrics import BudgetExceeded
from llmmetrics.testing import Answer, Reply, faults, observe, serve
from llmmetrics.testing.simulator import reply

ANSWER = Answer(prompt_tokens=123, completion_tokens=45)
PATH = "/openai/v1/chat/completions"

each_client = pytest.mark.parametrize("name", HTTP_CLIENTS)


@pytest.fixture
def instrumented(meter, provider):
    provider.default = ANSWER
    llmmetrics.instrument(meter)
    yield
    llmmetrics.uninstrument()


@pytest.mark.parametrize("body", [ASK, STREAM], ids=["json", "stream"])
@each_client
def test_a_call_and_a_failure(instrumented, provider, count, counted, name, body):
    client = HTTP_CLIENTS[name]
    client.load()
    records = []
    with observe(records.append):
        status, content = client.post(provider.url + PATH, body)
        assert status == 200
        assert b'"prompt_tokens": 123' in content or b'"prompt_tokens":123' in content
        provider.script(faults.RATE_LIMIT)
        assert client.post(provider.url + PATH, body)[0] == 429
    gc.collect()
    assert len(provider.requests) == 2
    assert counted() == {"success": 1, "failure": 1}
    labels = {"backend": "openai", "model": MODEL}
    assert count("llm_tokens_total", token_type="prompt", **labels) == 123
    assert count("llm_tokens_total", token_type="completion", **labels) == 45
    assert count("llm_estimated_cost_usd", **labels) == pytest.approx((123 * 1 + 45 * 2) / 1e6)
    assert count("llm_errors_total", error_type="rate_limit") == 1
    assert [each.usage_known for each in records] == [True, True]
    assert count("llmmetrics_unmetered_connections_total") == 0


@each_client
def test_a_cut_stream_is_a_network_failure(instrumented, provider, count, counted, name):
    client = HTTP_CLIENTS[name]
    client.load()
    provider.script(faults.CUT)
    with pytest.raises(Exception):  # noqa: B017 - each library has its own
        client.post(provider.url + PATH, STREAM)
    gc.collect()
    assert counted() == {"failure": 1}
    assert count("llm_errors_total", error_type="network") == 1
    # two of them read all of the body at once, and lose what came
    passed = count("llmmetrics_estimated_tokens_total", token_type="completion") > 0
    assert passed == (name not in {"urllib3", "httpx > requests > urllib3"})


@each_client
def test_a_reset_connection(instrumented, provider, count, counted, name):
    client = HTTP_CLIENTS[name]
    client.load()
    provider.script(faults.RESET)
    with pytest.raises(Exception):  # noqa: B017
        client.post(provider.url + PATH, ASK)
    gc.collect()
    assert counted() == {"failure": 1}
    assert count("llm_errors_total", error_type="network") == 1


@each_client
def test_nothing_listens(instrumented, count, counted, name):
    client = HTTP_CLIENTS[name]
    client.load()
    with pytest.raises(Exception):  # noqa: B017
        client.post("http://127.0.0.1:9/openai/v1/chat/completions", ASK)
    gc.collect()
    # urllib3 tries a connection four times by itself
    assert counted() == {"failure": 4 if name.startswith("urllib3") else 1}
    assert count("llm_errors_total", error_type="network") == count("llm_errors_total")
    # nothing was sent: no tokens, and a known cost of 0; a transport of one's own may raise what says less
    assert (count("llm_tokens_total") == 0) == ("> requests" not in name)


@each_client
def test_a_followed_redirect_is_one_call(instrumented, meter, counted, name):
    client = HTTP_CLIENTS[name]
    client.load()
    got = []

    def answer(request):
        got.append(request)
        if request.path.startswith("/old"):
            return Reply(307, (("location", PATH),), (b"",))
        return reply(request, ANSWER)

    with serve(answering=answer) as server:
        assert client.post(f"{server.url}/old/v1/chat/completions", ASK)[0] == 200
    gc.collect()
    assert [request.path for request in got] == ["/old/v1/chat/completions", PATH]
    assert counted() == {"success": 1}


@pytest.mark.parametrize("body", [ASK, STREAM], ids=["json", "stream"])
@each_client
def test_a_spent_budget_sends_nothing(limited, provider, count, name, body):
    client = HTTP_CLIENTS[name]
    client.load()
    llmmetrics.instrument(limited)
    try:
        client.post(provider.url + PATH, body)
        gc.collect()
        with pytest.raises(BudgetExceeded) as caught:
            client.post(provider.url + PATH, body)
    finally:
        llmmetrics.uninstrument()
    assert caught.value.reason == "limit"
    assert len(provider.requests) == 1
    assert count("llmmetrics_budget_refusals_total") == 1
    assert count("llm_requests_total") == 1
    assert count("llm_active_requests") == 0


def test_each_retry_of_urllib3_is_an_attempt(instrumented, provider, counted):
    requests = pytest.importorskip("requests")
    retries = pytest.importorskip("urllib3").Retry(3, status_forcelist=[500], allowed_methods=None, backoff_factor=0)
    provider.script(faults.SERVER_ERROR, faults.SERVER_ERROR)
    with requests.Session() as session:
        session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retries))
        assert session.post(provider.url + PATH, json=ASK).status_code == 200
    assert len(provider.requests) == 3
    assert counted() == {"failure": 2, "success": 1}


def test_a_request_that_is_no_call_is_counted_as_such(instrumented, provider, count, counted):
    requests = pytest.importorskip("requests")
    aiohttp = pytest.importorskip("aiohttp")
    requests.get(f"{provider.url}/openai/v1/models", timeout=9)

    async def ask():
        async with aiohttp.ClientSession() as session, session.get(f"{provider.url}/openai/v1/models") as answer:
            return await answer.json()

    assert asyncio.run(ask())["object"] == "list"
    assert counted() == {}
    assert count("llmmetrics_unmetered_requests_total", backend="openai") == 2


def test_an_aiohttp_session_that_raises_for_status(instrumented, provider, count, counted):
    aiohttp = pytest.importorskip("aiohttp")
    provider.script(faults.RATE_LIMIT, faults.BAD_KEY)

    async def ask(*, by_session):
        async with aiohttp.ClientSession(raise_for_status=by_session) as session:
            options = {} if by_session else {"raise_for_status": True}
            await session.post(provider.url + PATH, json=ASK, **options)

    for by_session, status in ((True, 429), (False, 401)):
        with pytest.raises(aiohttp.ClientResponseError) as caught:
            asyncio.run(ask(by_session=by_session))
        assert caught.value.status == status
    assert counted() == {"failure": 2}
    assert count("llm_errors_total", error_type="rate_limit") == 1
    assert count("llm_errors_total", error_type="auth") == 1
    assert count("llm_tokens_total") == 0


def test_an_aiohttp_stream_that_is_left_early_is_cancelled(instrumented, counted):
    aiohttp = pytest.importorskip("aiohttp")
    with serve(faults.STALL) as server:

        async def ask():
            async with aiohttp.ClientSession() as session, session.post(server.url + PATH, json=STREAM) as answer:
                return await answer.content.readline()

        assert asyncio.run(ask())
    assert counted() == {"cancelled": 1}


def test_a_cancelled_task_of_aiohttp(instrumented, counted):
    aiohttp = pytest.importorskip("aiohttp")
    with serve(faults.STALL) as server:

        async def ask(begun):
            async with aiohttp.ClientSession() as session, session.post(server.url + PATH, json=STREAM) as answer:
                begun.set()
                await answer.read()

        async def both():
            begun = asyncio.Event()
            task = asyncio.create_task(ask(begun))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(both())
    assert counted() == {"cancelled": 1}


def test_a_requests_stream_that_is_left_early_is_cancelled(instrumented, counted):
    requests = pytest.importorskip("requests")
    with (
        serve(faults.STALL) as server,
        requests.post(server.url + PATH, json=STREAM, stream=True, timeout=30) as answer,
    ):
        next(answer.iter_lines())
        answer.close()
    assert counted() == {"cancelled": 1}


def test_a_body_that_only_the_connection_reads(instrumented, provider, counted, count):
    """The answer was received with its usage, and the caller looked at its status only."""
    aiohttp = pytest.importorskip("aiohttp")

    async def ask():
        async with aiohttp.ClientSession() as session:
            answer = await session.post(provider.url + PATH, data=json.dumps(ASK), params={"a": "b"})
            received = asyncio.Event()
            answer.content.on_eof(received.set)
            await received.wait()
            answer.release()

    asyncio.run(ask())
    assert counted() == {"success": 1}
    assert count("llm_tokens_total", token_type="total") == 168
