"""What a replay does below requests and aiohttp: streams, faults, misses, budgets, and answers that are cut."""

from __future__ import annotations

import asyncio
import socket
from threading import Event

import pytest
from support.http_clients import ASK, HTTP_CLIENTS, STREAM

from llmmetrics import BudgetExceeded
from llmmetrics.testing import faults, reply, serve
from pytest_llmmetrics.cassettes import files, names
from pytest_llmmetrics.cassettes.doors import opened
from pytest_llmmetrics.cassettes.match import CassetteMissError, Deck
from pytest_llmmetrics.cassettes.replay import Replay

requests = pytest.importorskip("requests")
aiohttp = pytest.importorskip("aiohttp")
URL = "https://api.openai.com/v1/chat/completions"


def first_line(library, url=URL):
    """Read one event of a stream, and close it."""
    if library == "requests":
        with requests.post(url, json=STREAM, stream=True) as answer:
            return next(answer.iter_lines(chunk_size=1))

    async def ask():
        async with aiohttp.ClientSession() as session:
            answer = await session.post(url, json=STREAM)
            line = await answer.content.readline()
            answer.close()
            return line

    return asyncio.run(ask())


each_library = pytest.mark.parametrize("library", ["requests", "aiohttp"])


@each_library
@pytest.mark.llm_cassette("openai/stream")
def test_a_stream_that_is_left_is_cancelled(llm_metrics, library):
    assert first_line(library).startswith(b"data: ")
    assert [each.status for each in llm_metrics.records] == ["cancelled"]
    assert llm_metrics.value("llm_active_requests") == 0


NATIVE = [
    ("requests", "openai/timeout", "ReadTimeout"),
    ("requests", "openai/cut", "ChunkedEncodingError"),
    ("aiohttp", "openai/timeout", "SocketTimeoutError"),
    ("aiohttp", "openai/cut", "ClientPayloadError"),
]


@pytest.mark.parametrize(
    ("library", "raised"),
    [
        pytest.param(library, raised, marks=pytest.mark.llm_cassette(name), id=f"{library}-{name}")
        for library, name, raised in NATIVE
    ],
)
def test_a_fault_of_a_cassette_is_the_library_s_own_exception(llm_metrics, library, raised):
    with pytest.raises(Exception) as caught:
        HTTP_CLIENTS[library].post(URL, STREAM)
    assert type(caught.value).__name__ == raised
    assert llm_metrics.attempts == 1
    assert llm_metrics.last.error_type in ("timeout", "network")


@each_library
@pytest.mark.llm_cassette("openai/success", unused="allow")
def test_a_refusal_comes_before_the_replay(llm_metrics, llm_budget, llm_cassette, library):
    llm_budget.set("openai", "1")
    llm_budget.exhaust("openai")
    with pytest.raises(BudgetExceeded):
        HTTP_CLIENTS[library].post(URL, ASK)
    assert llm_cassette.play_count == 0
    assert llm_metrics.attempts == 0
    assert llm_metrics.delta("llmmetrics_budget_refusals_total") == 1


@each_library
def test_a_request_that_is_not_recorded(library):
    replay = Replay(Deck([]), advice="Record it.")
    with opened(replay), pytest.raises(CassetteMissError, match=r"is not recorded yet\. Record it\."):
        HTTP_CLIENTS[library].post(URL, ASK)
    assert len(replay.problems) == 1


@each_library
def test_what_is_no_llm_call_passes_to_this_machine(library):
    replay = Replay(Deck([]))
    with serve() as provider, opened(replay):
        HTTP_CLIENTS[library].post(f"{provider.url}/health", {})
        assert [each.path for each in provider.requests] == ["/health"]
    assert replay.problems == []
    assert replay.received == []


@each_library
def test_an_answer_that_is_cut_is_not_recorded(library):
    replay = Replay(Deck([]), recording=True)
    with serve(faults.STALL) as provider, opened(replay):
        first_line(library, f"{provider.url}/openai/v1/chat/completions")
    assert [(each.response, each.is_cut) for each in replay.received] == [(None, True)]


@pytest.fixture
def dead():
    """Reserve a port where nothing listens."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{reserved.getsockname()[1]}"


@each_library
def test_a_connection_that_fails_has_no_answer_to_record(library, dead):
    replay = Replay(Deck([]), recording=True)
    with serve() as provider, opened(replay):
        with pytest.raises(Exception, match=r"Max retries|Cannot connect"):
            HTTP_CLIENTS[library].post(f"{dead}/openai/v1/chat/completions", ASK)
        HTTP_CLIENTS[library].post(f"{provider.url}/openai/v1/chat/completions", ASK)
    assert [(each.response is None, each.is_cut) for each in replay.received] == [(True, False), (False, False)]


def test_a_live_endpoint_that_is_asked_again_does_not_stop_the_event_loop():
    """The endpoint answers when another task of the loop has run."""
    asked, has_run = Event(), Event()
    waited = []

    def answering(request):
        asked.set()
        waited.append(has_run.wait(5))
        return reply(request)

    async def other():
        await asyncio.to_thread(asked.wait, 5)
        has_run.set()

    async def ask(url):
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
            tasks.create_task(other())
            async with session.post(f"{url}/openai/v1/chat/completions", json=ASK) as answer:
                return await answer.read()

    path = names.find("openai/success", [names.shipped()])
    replay = Replay(Deck([files.read(path, "openai/success")]), verifying=True)
    with serve(answering=answering) as provider, opened(replay):
        assert b"simulated" in asyncio.run(ask(provider.url))
    assert waited == [True]
    assert replay.drifts == []


@each_library
def test_one_connection_has_played_recorded_and_foreign_requests(library):
    """A connection that is kept alive must ask for each request."""
    replay = Replay(Deck([]), recording=True)
    with serve() as provider, opened(replay):
        chat, other = f"{provider.url}/openai/v1/chat/completions", f"{provider.url}/health"
        if library == "requests":
            with requests.Session() as session:
                for url in (chat, other, chat):
                    assert session.post(url, json=ASK).content
        else:

            async def ask():
                async with aiohttp.ClientSession() as session:
                    for url in (chat, other, chat):
                        async with session.post(url, json=ASK) as answer:
                            assert await answer.read()

            asyncio.run(ask())
    assert [each.response["status"]["code"] for each in replay.received] == [200, 200]
    assert all(b"simulated" in each.response["body"]["string"] for each in replay.received)


@each_library
@pytest.mark.llm_cassette("openai/success")
def test_a_proxy_is_not_asked(llm_metrics, library):
    proxy = "http://127.0.0.1:9"
    if library == "requests":
        assert requests.post(URL, json=ASK, proxies={"https": proxy}).status_code == 200
    else:

        async def ask():
            async with aiohttp.ClientSession() as session, session.post(URL, json=ASK, proxy=proxy) as answer:
                await answer.read()
                return answer.status

        assert asyncio.run(ask()) == 200
    assert llm_metrics.tokens["total"] == 20


@pytest.mark.parametrize("recording", [False, True])
def test_a_websocket_of_aiohttp_says_so(recording):
    replay = Replay(Deck([]), recording=recording)

    async def talk():
        async with aiohttp.ClientSession() as session:
            await session.ws_connect("wss://api.openai.com/v1/realtime?model=gpt-realtime")

    with opened(replay), pytest.raises(CassetteMissError, match="open it with `websockets`"):
        asyncio.run(talk())
    assert len(replay.problems) == 1
