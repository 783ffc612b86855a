"""`InjectStreamUsage` through the real SDK and real transports: exact usage, and the stream that would have been."""

from __future__ import annotations

import asyncio

import httpx
import httpx2
import openai
import pytest
from support.sdks import ASK, MODEL

import llmmetrics
from llmmetrics import Meter
from llmmetrics.testing import Answer, faults, observe

ANSWER = Answer("Hi there.", prompt_tokens=123, completion_tokens=45)
STREAM = {"model": MODEL, "messages": ASK, "stream": True}


@pytest.fixture
def asks(registry, provider):
    """A meter whose backend asks for usage in streams."""
    provider.default = ANSWER
    backend = {"Name": "ours", "Type": "GenericOpenAI", "BaseUrl": f"{provider.url}/openai", "InjectStreamUsage": True}
    yield Meter.from_settings({"Backends": [backend]}, registry=registry)
    llmmetrics.uninstrument()


def raw(client, url, **options):
    response = client.post(f"{url}/openai/v1/chat/completions", json={**STREAM, **options})
    return response.content


@pytest.mark.parametrize("lib", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_to_the_byte(asks, provider, counted, count, lib):
    with lib.Client() as plain, lib.Client(transport=asks.transport(family=lib.__name__)) as metered:
        would_be = raw(plain, provider.url)
        records = []
        with observe(records.append):
            assert raw(metered, provider.url) == would_be
    (record,) = records
    assert (record.usage_known, record.usage.prompt, record.usage.completion) == (True, 123, 45)
    assert counted() == {"success": 1}
    assert count("llmmetrics_calls_without_usage_total") == 0
    assert provider.requests[0].json == STREAM
    assert provider.requests[1].json == {**STREAM, "stream_options": {"include_usage": True}}


@pytest.mark.parametrize("door", ["wrap", "instrument"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_the_sdk_sees_nothing_of_it(asks, provider, counted, count, door, asynchronous):
    made = {"api_key": "x", "base_url": f"{provider.url}/openai/v1", "max_retries": 0}

    async def aall(client):
        chunks = [each async for each in await client.chat.completions.create(**STREAM)]
        await client.close()
        return chunks

    def all_of(metered):
        client = (openai.AsyncOpenAI if asynchronous else openai.OpenAI)(**made)
        if metered and door == "wrap":
            asks.wrap(client)
        if asynchronous:
            return asyncio.run(aall(client))
        with client:
            return list(client.chat.completions.create(**STREAM))

    would_be = all_of(metered=False)
    if door == "instrument":
        llmmetrics.instrument(asks)
    assert all_of(metered=True) == would_be
    assert counted() == {"success": 1}
    assert count("llm_tokens_total", token_type="prompt") == 123
    assert count("llmmetrics_estimated_tokens_total") == 0


def test_who_asks_gets_what_was_asked_for(asks, provider):
    with httpx2.Client() as plain, httpx2.Client(transport=asks.transport()) as metered:
        options = {"stream_options": {"include_usage": True}}
        answer = raw(metered, provider.url, **options)
        assert answer == raw(plain, provider.url, **options)
    assert b'"choices": []' in answer


def test_what_is_no_stream_is_sent_as_it_is(asks, provider):
    with httpx2.Client(transport=asks.transport()) as client:
        response = client.post(f"{provider.url}/openai/v1/chat/completions", json={"model": MODEL, "messages": ASK})
    assert response.json()["usage"]["prompt_tokens"] == 123
    assert "stream_options" not in provider.requests[0].json


def test_the_callers_request_is_its_own(asks, provider):
    with httpx2.Client(transport=asks.transport()) as client:
        request = client.build_request("POST", f"{provider.url}/openai/v1/chat/completions", json=STREAM)
        before = request.content
        response = client.send(request)
    assert response.request is request
    assert request.content == before
    assert request.extensions.keys() <= {"timeout"}


def test_a_refusal_passes_untouched(asks, provider, counted):
    provider.script(faults.BAD_KEY)
    with httpx2.Client(transport=asks.transport()) as client:
        response = client.post(f"{provider.url}/openai/v1/chat/completions", json=STREAM)
    assert response.status_code == 401
    assert response.json()["error"]
    assert counted() == {"failure": 1}


def test_a_stream_that_is_cut_still_fails(asks, provider, counted, count):
    provider.script(faults.CUT)
    with httpx2.Client(transport=asks.transport()) as client, pytest.raises(httpx2.TransportError):
        client.post(f"{provider.url}/openai/v1/chat/completions", json=STREAM)
    assert counted() == {"failure": 1}
    assert count("llm_errors_total", error_type="network") == 1
