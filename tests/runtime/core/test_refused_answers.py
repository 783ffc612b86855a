"""What a provider refuses has no first chunk, and used nothing, whatever the HTTP status; a stream has one at any door."""

from __future__ import annotations

import asyncio
import time

import httpx2
import pytest

import llmmetrics
from llmmetrics.testing import FAULTS, Answer

CHAT = "/openai/v1/chat/completions"
STREAM = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "Say hi. " * 50}]}
FIRST = "llm_time_to_first_chunk_seconds_count"


def ask(meter, url, body):
    with httpx2.Client(transport=meter.transport(), timeout=5) as client, client.stream("POST", url, json=body) as one:
        return one.read()


@pytest.mark.parametrize("fault", ["rate_limit", "server_error", "overloaded", "html", "empty"])
def test_a_refused_stream_has_no_first_chunk(meter, provider, count, fault):
    provider.script(FAULTS[fault])
    ask(meter, provider.url + CHAT, STREAM)
    assert count("llm_requests_total", status="failure") == 1
    assert count(FIRST) == 0


def test_an_error_in_place_of_a_stream_is_no_first_chunk(meter, count):
    answer = httpx2.MockTransport(lambda _: httpx2.Response(200, json={"error": {"message": "overloaded"}}))
    with httpx2.Client(transport=meter.transport(answer)) as client:
        client.post(f"https://api.openai.com{CHAT.removeprefix('/openai')}", json=STREAM)
    assert (count("llm_requests_total", status="failure"), count(FIRST)) == (1, 0)


def test_a_stream_that_breaks_off_has_a_first_chunk(meter, provider, count):
    provider.script(FAULTS["cut"])
    with pytest.raises(httpx2.RemoteProtocolError):
        ask(meter, provider.url + CHAT, STREAM)
    assert (count("llm_requests_total", status="failure"), count(FIRST)) == (1, 1)


def test_a_stream_that_a_mock_has_read_already_has_a_first_chunk(meter, count):
    event = b'data: {"model": "m", "usage": {"prompt_tokens": 1, "completion_tokens": 2}}\n\n'
    answer = httpx2.MockTransport(lambda _: httpx2.Response(200, content=event + b"data: [DONE]\n\n"))
    with httpx2.Client(transport=meter.transport(answer)) as client:
        client.post(f"https://api.openai.com{CHAT.removeprefix('/openai')}", json=STREAM)
    assert (count("llm_tokens_total", token_type="total"), count(FIRST)) == (3, 1)


@pytest.mark.parametrize("read", ["lines", "whole", "never"])
def test_a_stream_that_aiohttp_has_received_whole_has_a_first_chunk(meter, provider, count, read):
    aiohttp = pytest.importorskip("aiohttp")
    provider.default = Answer("one two three")

    async def call():
        async with aiohttp.ClientSession() as session, session.post(provider.url + CHAT, json=STREAM) as answer:
            deadline = time.monotonic() + 10
            while not answer.content.is_eof() and time.monotonic() < deadline:  # noqa: ASYNC110 - aiohttp has no event of it
                await asyncio.sleep(0)
            if read == "lines":
                assert [line async for line in answer.content]
            elif read == "whole":
                assert await answer.read()

    llmmetrics.instrument(meter)
    try:
        asyncio.run(call())
    finally:
        llmmetrics.uninstrument()
    assert (count("llm_requests_total", status="success"), count(FIRST)) == (1, 1)


BODIES = {
    "/openai/v1/chat/completions": {"model": "m", "messages": STREAM["messages"]},
    "/openai/v1/responses": {"model": "m", "input": "Say hi. " * 50},
    "/anthropic/v1/messages": {"model": "m", "max_tokens": 9, "messages": STREAM["messages"]},
    "/gemini/v1beta/models/m:generateContent": {"contents": [{"parts": [{"text": "Say hi. " * 50}]}]},
}


@pytest.mark.parametrize("path", BODIES)
def test_an_error_in_200_used_nothing(limited, provider, count, path):
    provider.script(FAULTS["error_in_200"])
    ask(limited, provider.url + path, BODIES[path])
    assert count("llm_requests_total", status="failure") == 1
    assert count("llm_tokens_total") == count("llm_estimated_cost_usd") == 0
    assert count("llmmetrics_calls_without_usage_total") == 0
    assert count("llm_backend_budget_usd", limit_type="current") == 0


@pytest.mark.parametrize("error", [{"code": 429, "message": "slow down"}, "boom", {"message": "no model"}])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_an_error_of_any_form_used_nothing(meter, count, error, end):
    content = httpx2.Response(200, json={"error": error}).content + end
    answer = httpx2.MockTransport(lambda _: httpx2.Response(200, content=content))
    with httpx2.Client(transport=meter.transport(answer)) as client:
        client.post("https://openrouter.ai/api/v1/chat/completions", json=BODIES[CHAT])
    assert count("llm_requests_total", status="failure") == 1
    assert count("llm_tokens_total") == count("llmmetrics_calls_without_usage_total") == 0
