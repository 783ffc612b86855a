"""Budgets on WebSockets: refused at the handshake, before what may start a response, and while a server goes on."""

from __future__ import annotations

import asyncio
import json

import pytest
from support.socket_servers import (
    realtime_response,
    receive_until,
    responses_events,
    say,
    socket_server,
    two_responses,
)

from llmmetrics import BudgetExceeded

websockets = pytest.importorskip("websockets", reason="needs websockets: pip install websockets")


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_spent_budget_sends_nothing(instrumented_for, count, asynchronous):
    """The first response spends it: the second is not asked for, and the next handshake is not made."""
    with socket_server(two_responses) as server:
        instrumented_for(server.url, limit="0.000001")
        url = f"{server.url}/v1/realtime?model=m"
        create = json.dumps({"type": "response.create"})
        if asynchronous:

            async def talk():
                async with websockets.connect(url) as connection:
                    await connection.send(create)
                    while json.loads(await connection.recv())["type"] != "response.done":
                        continue
                    with pytest.raises(BudgetExceeded):
                        await connection.send(create)
                with pytest.raises(BudgetExceeded) as caught:
                    await websockets.connect(url)
                return caught.value

            refused = asyncio.run(talk())
        else:
            from websockets.sync.client import connect

            with connect(url) as connection:
                connection.send(create)
                receive_until(connection, "response.done")
                with pytest.raises(BudgetExceeded):
                    connection.send(create)
            with pytest.raises(BudgetExceeded) as caught:
                connect(url)
            refused = caught.value
    assert (refused.backend, refused.reason) == ("openai", "limit")
    assert [message["type"] for message in server.messages] == ["response.create"]
    assert len(server.paths) == 1
    assert count("llmmetrics_budget_refusals_total") == 2
    assert count("llm_requests_total") == 1
    assert count("llm_active_requests") == 0


OPENAI = {
    "realtime": (lambda sdk: sdk.realtime.connect(model="m"), {}, "response.done"),
    "responses": (lambda sdk: sdk.responses.connect(), {"model": "m", "input": "Say hi."}, "response.completed"),
}
"""Each mode of the SDK: how it connects, what it asks, and the last event of a response."""


@pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager:DeprecationWarning")
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("mode", OPENAI)
def test_a_spent_budget_of_openai_s_sdk(instrumented_for, count, mode, asynchronous):
    openai = pytest.importorskip("openai")
    connect, ask, last = OPENAI[mode]
    events = {
        "realtime": lambda _: realtime_response(1),
        "responses": lambda asked: responses_events(asked["model"], 1),
    }

    def once(server, connection):
        say(connection, *events[mode](server.asked(connection)))

    with socket_server(once) as server:
        instrumented_for(server.url, limit="0.000001")
        base = f"{server.url.replace('ws:', 'http:')}/v1"
        if asynchronous:

            async def talk():
                async with openai.AsyncOpenAI(api_key="x", base_url=base) as sdk, connect(sdk) as connection:
                    await connection.response.create(**ask)
                    while (await connection.recv()).type != last:
                        continue
                    with pytest.raises(BudgetExceeded):
                        await connection.response.create(**ask)

            asyncio.run(talk())
        else:
            with openai.OpenAI(api_key="x", base_url=base) as sdk, connect(sdk) as connection:
                connection.response.create(**ask)
                while connection.recv().type != last:
                    continue
                with pytest.raises(BudgetExceeded):
                    connection.response.create(**ask)
    assert [message["type"] for message in server.messages] == ["response.create"]
    assert count("llmmetrics_budget_refusals_total") == 1
    assert count("llm_requests_total") == 1
    assert count("llm_active_requests") == 0


def test_audio_may_start_a_response(instrumented_for, count, counted):
    """Server-side detection of speech: the budget is asked before the first audio, and again before the next."""

    def talk(server, connection):
        for number in (1, 2):
            server.asked(connection)
            server.asked(connection)
            say(connection, *realtime_response(number))

    with socket_server(talk) as server:
        instrumented_for(server.url, limit="0.000001")
        from websockets.sync.client import connect

        append = json.dumps({"type": "input_audio_buffer.append", "audio": "AAAA"})
        with connect(f"{server.url}/v1/realtime?model=m") as connection:
            connection.send(append)
            connection.send(append)
            receive_until(connection, "response.done")
            with pytest.raises(BudgetExceeded):
                connection.send(append)
    assert len(server.messages) == 2
    assert counted() == {"success": 1}
    assert count("llmmetrics_budget_refusals_total") == 1


def test_a_server_that_goes_on_by_itself_is_stopped(instrumented_for, count):
    def talk(server, connection):
        server.asked(connection)
        say(connection, *realtime_response(1), *realtime_response(2))

    with socket_server(talk) as server:
        instrumented_for(server.url, limit="0.000001")
        from websockets.sync.client import connect

        with connect(f"{server.url}/v1/realtime?model=m") as connection:
            connection.send(json.dumps({"type": "response.create"}))
            with pytest.raises(BudgetExceeded):
                receive_until(connection)
            with pytest.raises(BudgetExceeded):
                connection.send(json.dumps({"type": "session.update", "session": {}}))
            with pytest.raises(BudgetExceeded):
                connection.recv()
    assert server.codes == [1008]
    assert count("llm_requests_total") == 1
    assert count("llm_active_requests") == 0


def test_a_websocket_of_aiohttp(instrumented_for, count):
    aiohttp = pytest.importorskip("aiohttp")

    async def talk(url):
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(url) as connection:
                await connection.send_json({"type": "response.create"})
                while (await connection.receive_json())["type"] != "response.done":
                    continue
                with pytest.raises(BudgetExceeded):
                    await connection.send_json({"type": "response.create"})
            with pytest.raises(BudgetExceeded):
                await session.ws_connect(url)

    with socket_server(two_responses) as server:
        instrumented_for(server.url, limit="0.000001")
        asyncio.run(talk(f"{server.url}/v1/realtime?model=m"))
    assert len(server.messages) == len(server.paths) == 1
    assert count("llmmetrics_budget_refusals_total") == 2
    assert count("llm_active_requests") == 0
