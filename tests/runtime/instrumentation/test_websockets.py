"""Realtime, Responses and Gemini Live over WebSockets, with the official SDKs: a call for each response."""

from __future__ import annotations

import asyncio
import json

import pytest
from support.socket_servers import (
    LIVE_USAGE,
    REALTIME_COST,
    realtime_response,
    receive_until,
    responses_events,
    say,
    socket_server,
    two_responses,
)

from llmmetrics.testing import observe

websockets = pytest.importorskip("websockets", reason="needs websockets: pip install websockets")


def openai_client(url, *, asynchronous=False):
    openai = pytest.importorskip("openai")
    kind = openai.AsyncOpenAI if asynchronous else openai.OpenAI
    return kind(api_key="x", base_url=f"{url.replace('ws:', 'http:')}/v1")


# the SDK calls a function of `websockets` as it was before version 17
old_connect = pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager:DeprecationWarning")


@old_connect
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_openai_realtime(instrumented_for, count, counted, asynchronous):
    records = []
    with socket_server(two_responses) as server, observe(records.append):
        instrumented_for(server.url)
        client = openai_client(server.url, asynchronous=asynchronous)
        if asynchronous:

            async def talk():
                async with client.realtime.connect(model="gpt-realtime") as connection:
                    await connection.session.update(session={"type": "realtime", "output_modalities": ["audio"]})
                    for _ in range(2):
                        await connection.response.create()
                        while (await connection.recv()).type != "response.done":
                            continue
                await client.close()

            asyncio.run(talk())
        else:
            with client.realtime.connect(model="gpt-realtime") as connection:
                connection.session.update(session={"type": "realtime", "output_modalities": ["audio"]})
                for _ in range(2):
                    connection.response.create()
                    while connection.recv().type != "response.done":
                        continue
            client.close()
    assert server.paths == ["/v1/realtime?model=gpt-realtime"]
    assert counted() == {"success": 2}
    labels = {"backend": "openai", "model": "gpt-realtime"}
    assert count("llm_tokens_total", token_type="prompt", **labels) == 300
    assert count("llm_tokens_total", token_type="completion", **labels) == 160
    assert count("llm_estimated_cost_usd", **labels) == pytest.approx(2 * REALTIME_COST)
    assert [each.usage_known for each in records] == [True, True]
    assert count("llm_time_to_first_chunk_seconds_count") == 2
    assert count("llmmetrics_unmetered_connections_total") == 0


@old_connect
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_openai_responses(instrumented_for, count, counted, asynchronous):
    def two(server, connection):
        for number in (1, 2):
            asked = server.asked(connection)
            say(connection, *responses_events(asked["model"], number))

    with socket_server(two) as server:
        instrumented_for(server.url)
        client = openai_client(server.url, asynchronous=asynchronous)
        ask = {"model": "gpt-5.4", "input": "Say hi."}
        if asynchronous:

            async def talk():
                async with client.responses.connect() as connection:
                    for _ in range(2):
                        await connection.response.create(**ask)
                        while (await connection.recv()).type != "response.completed":
                            continue
                await client.close()

            asyncio.run(talk())
        else:
            with client.responses.connect() as connection:
                for _ in range(2):
                    connection.response.create(**ask)
                    while connection.recv().type != "response.completed":
                        continue
            client.close()
    assert counted() == {"success": 2}
    labels = {"backend": "openai", "model": "gpt-5.4"}
    assert count("llm_tokens_total", token_type="prompt", **labels) == 200
    assert count("llm_tokens_total", token_type="completion", **labels) == 40
    assert count("llm_estimated_cost_usd", **labels) == pytest.approx(2 * (60 * 4 + 40 * 1 + 20 * 16) / 1e6)


@pytest.mark.parametrize("usage_apart", [False, True], ids=["usage in the last message", "usage after it"])
def test_gemini_live(instrumented_for, count, counted, usage_apart):
    genai = pytest.importorskip("google.genai")

    def talk(server, connection):
        server.asked(connection)
        say(connection, {"setupComplete": {}}, binary=True)
        for _ in range(2):
            server.asked(connection)
            audio = {"inlineData": {"mimeType": "audio/pcm", "data": "AAAA" * 100}}
            say(connection, {"serverContent": {"modelTurn": {"role": "model", "parts": [audio]}}}, binary=True)
            last = {"serverContent": {"turnComplete": True}}
            usage = {"usageMetadata": LIVE_USAGE}
            say(connection, *([last, usage] if usage_apart else [{**last, **usage}]), binary=True)

    async def ask(url):
        client = genai.Client(api_key="x", http_options={"base_url": url.replace("ws:", "http:")})
        # this SDK speaks TLS only, which the server does not
        client._api_client._websocket_base_url = lambda *_: f"{url}/gemini"
        client._api_client._websocket_ssl_ctx = {}
        async with client.aio.live.connect(model="gemini-live", config={"response_modalities": ["AUDIO"]}) as session:
            for _ in range(2):
                await session.send_client_content(turns={"role": "user", "parts": [{"text": "hi"}]})
                async for _ in session.receive():
                    continue

    with socket_server(talk) as server:
        instrumented_for(server.url)
        asyncio.run(ask(server.url))
    assert server.messages[0]["setup"]["model"] == "models/gemini-live"
    assert counted() == {"success": 2}
    labels = {"backend": "gemini", "model": "gemini-live"}
    if usage_apart:
        # the client reads each usage before the next answer, and not the last one
        assert count("llm_tokens_total", token_type="prompt", **labels) >= 30
        assert count("llmmetrics_calls_without_usage_total", reason="absent") == 1
    else:
        assert count("llm_tokens_total", token_type="prompt", **labels) == 2 * 30
        assert count("llm_tokens_total", token_type="completion", **labels) == 2 * 12
        assert count("llm_estimated_cost_usd", **labels) == pytest.approx(2 * (20 * 4 + 10 * 32 + 12 * 64) / 1e6)


def test_a_failed_response_an_error_and_a_lost_connection(instrumented_for, count, counted):
    def talk(server, connection):
        server.asked(connection)
        error = {"type": "rate_limit_error", "code": "rate_limit_exceeded", "message": "no"}
        failed = realtime_response(1, "failed", None)
        failed[-1]["response"]["status_details"] = {"type": "failed", "error": error}
        say(connection, *failed)
        server.asked(connection)
        say(connection, {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}})
        server.asked(connection)
        say(connection, *realtime_response(3)[:3])
        connection.socket.close()

    with socket_server(talk) as server:
        instrumented_for(server.url)
        from websockets.sync.client import connect

        with connect(f"{server.url}/v1/realtime?model=m") as connection:
            for last in ("response.done", "error"):
                connection.send(json.dumps({"type": "response.create"}))
                receive_until(connection, last)
            connection.send(json.dumps({"type": "response.create"}))
            with pytest.raises(websockets.exceptions.ConnectionClosed):
                receive_until(connection)
    assert counted() == {"failure": 3}
    assert count("llm_errors_total", error_type="rate_limit") == 1
    assert count("llm_errors_total", error_type="api_error") == 1
    assert count("llm_errors_total", error_type="network") == 1


def test_a_response_that_the_client_leaves_is_cancelled(instrumented_for, counted):
    def talk(server, connection):
        server.asked(connection)
        say(connection, *realtime_response()[:2])

    with socket_server(talk) as server:
        instrumented_for(server.url)
        from websockets.sync.client import connect

        with connect(f"{server.url}/v1/realtime?model=m") as connection:
            connection.send(json.dumps({"type": "response.create"}))
            connection.recv()
    assert counted() == {"cancelled": 1}


def test_another_websocket_is_left_alone(instrumented_for, count, counted):
    def talk(server, connection):
        say(connection, {"echo": server.asked(connection)})

    with socket_server(talk) as server:
        instrumented_for(server.url)
        from websockets.sync.client import connect

        with connect(f"{server.url}/chat") as connection:
            connection.send("[1]")
            assert json.loads(connection.recv()) == {"echo": [1]}
    assert counted() == {}
    assert count("llmmetrics_unmetered_connections_total") == 0


def test_what_is_no_json_is_passed_on(instrumented_for, counted):
    def talk(server, connection):
        connection.send(b"\xff\x00")
        connection.send("not json")

    with socket_server(talk) as server:
        instrumented_for(server.url)
        from websockets.sync.client import connect

        with connect(f"{server.url}/v1/realtime?model=m") as connection:
            connection.send(b"\xfe")
            assert [connection.recv(), connection.recv()] == [b"\xff\x00", "not json"]
    assert counted() == {}


def test_a_websocket_of_aiohttp(instrumented_for, count, counted):
    aiohttp = pytest.importorskip("aiohttp")

    async def talk(url):
        async with aiohttp.ClientSession() as session:
            connection = await session.ws_connect(f"{url}/v1/realtime", params={"model": "gpt-realtime"})
            for _ in range(2):
                await connection.send_json({"type": "response.create"})
                while (await connection.receive_json())["type"] != "response.done":
                    continue
            await connection.close()

    with socket_server(two_responses) as server:
        instrumented_for(server.url)
        asyncio.run(talk(server.url))
    assert server.paths == ["/v1/realtime?model=gpt-realtime"]
    assert counted() == {"success": 2}
    assert count("llm_estimated_cost_usd", model="gpt-realtime") == pytest.approx(2 * REALTIME_COST)
    assert count("llmmetrics_unmetered_connections_total") == 0
    assert count("llmmetrics_unmetered_requests_total") == 0


def test_a_websocket_of_aiohttp_that_the_server_closes(instrumented_for, count, counted):
    aiohttp = pytest.importorskip("aiohttp")

    def talk(server, connection):
        server.asked(connection)
        say(connection, *realtime_response()[:2])
        connection.close(1011)

    async def ask(url):
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/v1/realtime?model=m") as connection:
            await connection.send_str(json.dumps({"type": "response.create"}))
            async for _ in connection:
                continue

    with socket_server(talk) as server:
        instrumented_for(server.url)
        asyncio.run(ask(server.url))
    assert counted() == {"failure": 1}
    assert count("llm_errors_total", error_type="network") == 1
