"""What a client gets from a cassette, in both families, sync and async, and what every kind of meter sees of it."""

from __future__ import annotations

import asyncio
import importlib
import threading
import unittest

import pytest

import llmmetrics
from llmmetrics.testing import observe
from llmmetrics.testing.harness import metering
from pytest_llmmetrics.cassettes.match import CassetteMissError

CHAT = "https://api.openai.com/v1/chat/completions"
OLLAMA = "http://localhost:11434/api/chat"
ASK = {"model": "gpt-4o", "messages": [{"role": "user", "content": "any words at all"}]}
STREAM = {**ASK, "stream": True}

each_family = pytest.mark.parametrize("family", ["httpx", "httpx2"])
both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
cassette = pytest.mark.llm_cassette


def chunks(family, url, body, *, asynchronous=False, wrap=lambda client: client, came=None, **options):
    """The answer, and the chunks of its body as they come; what it breaks off with is raised."""
    library = importlib.import_module(family)
    came = [] if came is None else came
    if not asynchronous:
        with wrap(library.Client(**options)) as client, client.stream("POST", url, json=body) as response:
            came.extend(response.iter_raw())
        return response, came

    async def run():
        async with wrap(library.AsyncClient(**options)) as client, client.stream("POST", url, json=body) as response:
            async for chunk in response.aiter_raw():
                came.append(chunk)
        return response, came

    return asyncio.run(run())


@pytest.fixture
def records():
    seen = []
    with observe(seen.append):
        yield seen


@both
@each_family
@cassette("openai/stream")
def test_a_stream_comes_event_by_event(family, asynchronous):
    response, came = chunks(family, CHAT, STREAM, asynchronous=asynchronous)
    assert len(came) == 9
    assert all(each.endswith(b"\n\n") for each in came)
    assert came[-1] == b"data: [DONE]\n\n"
    assert "x-llmmetrics-interaction" not in response.headers


@both
@cassette("ollama/stream")
def test_a_stream_of_json_comes_line_by_line(asynchronous):
    _, came = chunks("httpx", OLLAMA, ASK, asynchronous=asynchronous)
    assert len(came) == 6
    assert all(each.startswith(b"{") and each.endswith(b"\n") for each in came)


@both
@each_family
@cassette("openai/timeout")
def test_a_timeout_is_the_familys_own(family, asynchronous, llm_meter, records):
    library = importlib.import_module(family)
    with metering(llm_meter), pytest.raises(library.ReadTimeout) as caught:
        chunks(family, CHAT, ASK, asynchronous=asynchronous)
    assert type(caught.value) is library.ReadTimeout
    assert caught.value.request.url == CHAT
    assert [(each.status, each.error_type, each.http_status) for each in records] == [("timeout", "timeout", None)]


@both
@each_family
@cassette("openai/cut")
def test_a_cut_comes_in_mid_stream(family, asynchronous, llm_meter, records):
    library = importlib.import_module(family)
    came = []
    with metering(llm_meter), pytest.raises(library.RemoteProtocolError) as caught:
        chunks(family, CHAT, STREAM, asynchronous=asynchronous, came=came)
    assert len(came) == 2
    assert type(caught.value) is library.RemoteProtocolError
    assert caught.value.request.url == CHAT
    assert [(each.status, each.error_type, each.http_status) for each in records] == [("failure", "network", 200)]


@both
@each_family
@pytest.mark.parametrize("seen_by", ["metering", "instrument", "wrap", "transport", "all"])
@cassette("openai/rate_limited")
def test_every_meter_sees_it_once(family, asynchronous, seen_by, llm_meter, records):
    library = importlib.import_module(family)
    options, wrap = {}, lambda client: client
    if seen_by in ("transport", "all"):
        transport = library.AsyncHTTPTransport() if asynchronous else library.HTTPTransport()
        make = llm_meter.async_transport if asynchronous else llm_meter.transport
        options["transport"] = make(transport)
    if seen_by in ("wrap", "all"):
        wrap = llm_meter.wrap
    if seen_by in ("instrument", "all"):
        llmmetrics.instrument(llm_meter)
    try:
        if seen_by in ("metering", "all"):
            with metering(llm_meter):
                response, _ = chunks(family, CHAT, ASK, asynchronous=asynchronous, wrap=wrap, **options)
        else:
            response, _ = chunks(family, CHAT, ASK, asynchronous=asynchronous, wrap=wrap, **options)
    finally:
        llmmetrics.uninstrument()
    assert response.status_code == 429
    assert response.headers["retry-after"] == "1"
    assert [(each.status, each.error_type, each.http_status) for each in records] == [("failure", "rate_limit", 429)]


@each_family
@cassette("openai/rate_limited", "openai/success")
def test_several_cassettes_play_in_order_and_the_last_goes_on(family, llm_cassette):
    assert [chunks(family, CHAT, ASK)[0].status_code for _ in range(4)] == [429, 200, 200, 200]
    assert llm_cassette.play_count == 4


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("https://api.openai.com/v1/responses", {"model": "gpt-4o", "input": "hi", "stream": True}),
        ("https://eu.api.openai.com/v1/embeddings", {"model": "e", "input": "hi"}),
        ("https://gateway.example/team/llm/chat/completions", STREAM),
        ("http://127.0.0.1:9/v1/chat/completions", ASK),
    ],
)
@cassette("openai/rate_limited")
def test_a_refusal_is_the_same_whatever_was_asked_through_whichever_gateway(url, body):
    assert chunks("httpx2", url, body)[0].status_code == 429


@pytest.mark.parametrize(
    ("url", "body", "why"),
    [
        (CHAT, STREAM, "stream: recorded false, sent true"),
        ("https://api.mistral.ai/v1/chat/completions", ASK, "provider: recorded 'openai', sent 'mistral'"),
        ("https://api.openai.com/v1/responses", {"model": "m", "input": "x"}, "API: recorded 'openai.chat'"),
        ("https://api.openai.com/v1/files", {}, "path: recorded '/v1/chat/completions', sent '/v1/files'"),
        ("https://gateway.example/v1/messages", ASK, "format: recorded 'openai', sent 'anthropic'"),
        ("https://weather.example/today", {}, "the nearest is openai/success"),
    ],
)
@cassette("openai/success", unused="allow")
def test_a_miss_says_what_differs_and_nothing_is_counted(url, body, why, llm_meter, records, llm_cassette):
    with metering(llm_meter), pytest.raises(CassetteMissError) as caught:
        chunks("httpx2", url, body)
    assert why.lower() in str(caught.value).lower()
    assert records == []
    assert llm_cassette.problems() == [str(caught.value)]
    llm_cassette.replay.problems.clear()


@cassette("openai/success")
def test_the_application_itself_is_no_network():
    import httpx2

    async def app(scope, receive, send):
        async with httpx2.AsyncClient() as client:
            answer = (await client.post(CHAT, json=ASK)).content
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": answer})

    async def run():
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://app") as client:
            return (await client.post("/summarise", json={})).json()

    assert asyncio.run(run())["choices"][0]["message"]["content"] == "Hello from the simulated provider."
    mock = httpx2.MockTransport(lambda request: httpx2.Response(204))
    with httpx2.Client(transport=mock) as client:
        assert client.get("https://elsewhere.example/").status_code == 204


@cassette("openai/success")
def test_what_is_no_call_reaches_this_machine():
    import httpx
    from support.servers import free_port

    from llmmetrics.testing import serve

    assert chunks("httpx", CHAT, ASK)[0].status_code == 200
    with serve() as server:
        assert httpx.get(f"{server.url}/v1/models").json()["object"] == "list"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{free_port()}/metrics")


@each_family
@cassette("openai/success")
def test_an_application_on_loopback_asks_while_it_is_asked(family):
    from llmmetrics.testing import Reply, serve

    def answering(_):
        return Reply(200, (), (str(chunks(family, CHAT, ASK)[0].status_code).encode(),))

    with serve(answering=answering) as app:
        assert chunks(family, f"{app.url}/summarise", {})[1] == [b"200"]


@cassette("openai/rate_limited", "openai/success")
def test_threads_play_each_interaction_once():
    statuses = []
    threads = [
        threading.Thread(target=lambda: statuses.append(chunks("httpx2", CHAT, ASK)[0].status_code)) for _ in range(8)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(statuses) == [200] * 7 + [429]


@cassette("openai/success", "openai/rate_limited")
def test_tasks_play_each_interaction_once():
    import httpx2

    async def run():
        async with httpx2.AsyncClient() as client:
            made = await asyncio.gather(*(client.post(CHAT, json=ASK) for _ in range(8)))
        return sorted(each.status_code for each in made)

    assert asyncio.run(run()) == [200, *[429] * 7]


@cassette("openai/success")
class TestClasses:
    def test_a_class(self):
        assert chunks("httpx", CHAT, ASK)[0].status_code == 200


@cassette("openai/bad_key")
class TestOfUnittest(unittest.TestCase):
    def test_a_case(self):
        assert chunks("httpx", CHAT, ASK)[0].status_code == 401


@pytest.mark.anyio
@cassette("openai/success")
async def test_an_async_test():
    import httpx2

    async with httpx2.AsyncClient() as client:
        assert (await client.post(CHAT, json=ASK)).status_code == 200


@cassette("openai/success")
def test_requests_is_replayed_too(llm_cassette):
    requests = pytest.importorskip("requests")
    assert requests.post(CHAT, json=ASK, timeout=9).json()["usage"]["total_tokens"] == 20
    with pytest.raises(CassetteMissError):
        requests.get("https://weather.example/", timeout=9)
    llm_cassette.replay.problems.clear()
