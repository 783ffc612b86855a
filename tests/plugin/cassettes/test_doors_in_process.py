"""A call by each kind of client: recorded against a provider on loopback, replayed without it, counted the same.

`test_doors.py` has all of them, through the marker and with the files; it runs in soak.
"""

from __future__ import annotations

import asyncio
from datetime import date

import pytest
from support import sdks
from support.http_clients import ASK, HTTP_CLIENTS, STREAM

from llmmetrics.testing import serve
from pytest_llmmetrics.cassettes import files, recording
from pytest_llmmetrics.cassettes.doors import opened
from pytest_llmmetrics.cassettes.match import Deck
from pytest_llmmetrics.cassettes.replay import Replay

SECRET = "sk-" + "a1B2c3D4" * 4


def raw(client, body):
    def call(url):
        HTTP_CLIENTS[client].load()
        status, content = HTTP_CLIENTS[client].post(f"{url}/openai/v1/chat/completions?key={SECRET}", body)
        assert (status, b"simulated" in content) == (200, True)

    return call


def google_genai(url):
    pytest.importorskip("aiohttp")
    sdk = sdks.SDKS["google-genai"]
    client = sdk.make(sdk.load(), url, None, True)

    async def ask():
        await sdks.acall(sdk, client, stream=True)
        await client.aio.aclose()

    asyncio.run(ask())
    client.close()


def in_the_background(url):
    openai = pytest.importorskip("openai")
    with openai.OpenAI(api_key=SECRET, base_url=f"{url}/openai/v1") as client:
        queued = client.responses.create(model="m-1", input="Say hi.", background=True)
        assert client.responses.retrieve(queued.id).usage.total_tokens == 20


CALLS = {
    "requests, stream": raw("requests", STREAM),
    "urllib3, json": raw("urllib3", ASK),
    "aiohttp, json": raw("aiohttp", ASK),
    "aiohttp, stream": raw("aiohttp, lines", STREAM),
    "httpx > aiohttp": raw("httpx > aiohttp", STREAM),
    "httpx2": raw("httpx2", STREAM),
    "google-genai's async client": google_genai,
    "an answer that comes later": in_the_background,
}


@pytest.mark.filterwarnings("ignore:Inheritance class Aiohttp:DeprecationWarning")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_replay_counts_as_the_live_call(llm_metrics, call):
    replay = Replay(Deck([]), recording=True)
    with serve() as provider:
        with opened(replay) as tape, llm_metrics.during() as live:
            call(provider.url)
        asked = len(provider.requests)
    pairs = [*zip(tape.requests, tape.responses, strict=True)]
    pairs += [(each.request, each.response) for each in replay.received]
    kept = recording.interactions(*zip(*pairs, strict=True))
    text = recording.text_of("mine", kept, {}, credentials=replay.credentials, today=date(2026, 11, 27))
    assert SECRET not in text
    again = Replay(Deck([files.parse(text, "mine")]))
    with opened(again), llm_metrics.during() as replayed:
        call(provider.url)
    assert len(provider.requests) == asked
    assert (again.problems, list(again.unplayed())) == ([], [])
    assert [each.status for each in live.records] == ["success"]
    for probe in (live, replayed):
        assert probe.tokens == {"prompt": 12, "completion": 8, "total": 20}
        assert probe.delta("llm_requests_total") == 1
    assert [each.usage for each in replayed.records] == [each.usage for each in live.records]
