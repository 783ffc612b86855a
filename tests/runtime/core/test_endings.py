"""Whatever ends a call, it is counted once, under the right status, and nothing stays active.

Every ending in both families, sync and async, over a real connection.
"""

from __future__ import annotations

import gc
import json
from dataclasses import replace

import httpx
import httpx2
import pytest

from llmmetrics.testing import Answer, faults
from llmmetrics.wire import openai
from llmmetrics.wire.estimation.estimate import prompt_tokens

pytestmark = pytest.mark.anyio

FAMILIES = pytest.mark.parametrize("lib", [httpx, httpx2], ids=["httpx", "httpx2"])

ANSWER = Answer("one two three four five six seven eight", prompt_tokens=100, completion_tokens=50)

STREAM = {"model": "m", "stream": True, "stream_options": {"include_usage": True}, "messages": []}

JSON = {"model": "m", "messages": [{"role": "user", "content": "x" * 400}]}

ESTIMATED = prompt_tokens(json.dumps(JSON).encode(), openai.FORMATS[0], "m")


@pytest.fixture
def url(provider):
    provider.default = ANSWER
    return f"{provider.url}/openai/v1/chat/completions"


@pytest.fixture
def client(meter, lib):
    with lib.Client(transport=meter.transport(family=lib.__name__), timeout=5) as made:
        yield made


@pytest.fixture
async def aclient(meter, lib):
    async with lib.AsyncClient(transport=meter.async_transport(family=lib.__name__), timeout=5) as made:
        yield made


# the end of the body


@FAMILIES
def test_json_read_to_its_end(client, url, counted, count, lib):
    assert client.post(url, json=JSON).json()["usage"]["prompt_tokens"] == 100
    assert counted() == {"success": 1}
    assert count("llm_tokens_total", token_type="prompt") == 100
    assert count("llm_tokens_total", token_type="total") == 150
    assert count("llm_estimated_cost_usd") == pytest.approx(0.0002)


@FAMILIES
async def test_json_read_to_its_end_async(aclient, url, counted, count, lib):
    await aclient.post(url, json=JSON)
    assert counted() == {"success": 1}
    assert count("llm_tokens_total", token_type="completion") == 50


@FAMILIES
def test_stream_exhausted(client, url, counted, count, lib):
    with client.stream("POST", url, json=STREAM) as response:
        assert b"[DONE]" in b"".join(response.iter_bytes())
    assert counted() == {"success": 1}
    assert count("llm_tokens_total", token_type="completion") == 50
    assert count("llm_time_to_first_chunk_seconds_count") == 1


@FAMILIES
async def test_stream_exhausted_async(aclient, url, counted, count, lib):
    async with aclient.stream("POST", url, json=STREAM) as response:
        assert b"[DONE]" in b"".join([chunk async for chunk in response.aiter_bytes()])
    assert counted() == {"success": 1}
    assert count("llm_tokens_total", token_type="completion") == 50


# the caller closes


@FAMILIES
def test_closed_at_done(client, url, counted, count, lib):
    with client.stream("POST", url, json=STREAM) as response:
        for line in response.iter_lines():
            if line == "data: [DONE]":
                break
    assert counted() == {"success": 1}
    assert count("llm_tokens_total", token_type="completion") == 50
    assert count("llmmetrics_estimated_tokens_total") == 0


@FAMILIES
@pytest.mark.parametrize(
    ("fault", "error"), [(faults.ERROR_IN_200, "api_error"), (faults.MALFORMED, "unknown")], ids=["error", "malformed"]
)
def test_closed_because_of_what_came(client, url, provider, counted, count, lib, fault, error):
    """As SDKs do: an error in a stream, or what is no event, is the end of it for them."""
    provider.script(fault)
    with client.stream("POST", url, json=STREAM) as response:
        for line in response.iter_lines():
            if '"error"' in line or (error == "unknown" and not line):
                break
    assert counted() == {"failure": 1}
    assert count("llm_errors_total", error_type=error) == 1


@FAMILIES
@pytest.mark.parametrize("fault", [faults.HTML, faults.EMPTY], ids=["html", "empty"])
def test_closed_unread_because_of_its_headers(client, url, provider, counted, count, lib, fault):
    """As cohere's SDK does: what is no stream by its type, it does not even read."""
    provider.script(fault)
    with client.stream("POST", url, json=STREAM):
        pass
    assert counted() == {"failure": 1}
    assert count("llm_errors_total", error_type="unknown") == 1


@FAMILIES
def test_dropped_because_of_what_came(client, url, provider, counted, count, lib):
    """As groq's SDK does: it raises in the middle of a stream, and leaves the answer to the collector."""
    provider.script(faults.MALFORMED)
    response = client.send(client.build_request("POST", url, json=STREAM), stream=True)
    for line in response.iter_lines():
        if not line:
            break
    del response
    gc.collect()
    assert counted() == {"failure": 1}
    assert count("llm_errors_total", error_type="unknown") == 1


@FAMILIES
async def test_closed_at_done_async(aclient, url, counted, count, lib):
    async with aclient.stream("POST", url, json=STREAM) as response:
        async for line in response.aiter_lines():
            if line == "data: [DONE]":
                break
    assert counted() == {"success": 1}
    assert count("llm_tokens_total", token_type="completion") == 50


@FAMILIES
def test_closed_early(client, url, provider, counted, count, lib):
    provider.script(replace(faults.STALL, stall_after=4))
    with client.stream("POST", url, json={**STREAM, **JSON}) as response:
        for line in response.iter_lines():
            if "three" in line:
                break
    assert counted() == {"cancelled": 1}
    assert count("llm_errors_total") == 0
    assert count("llmmetrics_calls_without_usage_total", reason="cancelled") == 1
    assert count("llm_tokens_total", token_type="prompt") == ESTIMATED
    assert count("llm_tokens_total") == count("llmmetrics_estimated_tokens_total") > 0
    assert count("llm_estimated_cost_usd") > 0


@FAMILIES
async def test_closed_early_async(aclient, url, provider, counted, count, lib):
    provider.script(replace(faults.STALL, stall_after=4))
    async with aclient.stream("POST", url, json=STREAM) as response:
        async for line in response.aiter_lines():
            if "three" in line:
                break
    assert counted() == {"cancelled": 1}
    assert count("llm_errors_total") == 0


@FAMILIES
def test_closed_without_reading(client, url, counted, lib):
    with client.stream("POST", url, json=STREAM):
        pass
    assert counted() == {"cancelled": 1}


@FAMILIES
def test_closed_without_reading_a_refusal(client, url, provider, counted, count, lib):
    provider.script(faults.RATE_LIMIT)
    with client.stream("POST", url, json=STREAM):
        pass
    assert counted() == {"failure": 1}
    assert count("llm_errors_total", error_type="rate_limit") == 1


# exceptions


@FAMILIES
@pytest.mark.parametrize(
    ("fault", "status", "error_type", "prompt"),
    [
        (faults.RESET, "failure", "network", True),
        (replace(faults.SLOW_FIRST_BYTE, delay=20), "timeout", "timeout", True),
    ],
)
def test_exception_before_the_headers(client, url, provider, counted, count, lib, fault, status, error_type, prompt):
    provider.script(fault)
    with pytest.raises(lib.TransportError):
        client.post(url, json=JSON, timeout=1)
    assert counted() == {status: 1}
    assert count("llm_errors_total", error_type=error_type) == count("llm_errors_total") == 1
    assert count("llm_tokens_total", token_type="prompt") == ESTIMATED
    assert count("llmmetrics_calls_without_usage_total", reason="unanswered") == 1


@FAMILIES
async def test_exception_before_the_headers_async(aclient, url, provider, counted, count, lib):
    provider.script(faults.RESET)
    with pytest.raises(lib.TransportError):
        await aclient.post(url, json=JSON)
    assert counted() == {"failure": 1}
    assert count("llm_errors_total", error_type="network") == 1


@FAMILIES
def test_what_was_never_sent_used_nothing(client, counted, count, lib, url, provider):
    provider.close()
    with pytest.raises(lib.ConnectError):
        client.post(url, json=JSON)
    assert counted() == {"failure": 1}
    assert count("llm_errors_total", error_type="network") == 1
    assert count("llm_tokens_total") == 0
    assert count("llmmetrics_calls_without_usage_total") == 0


@FAMILIES
@pytest.mark.parametrize(
    ("fault", "status", "error_type"), [(faults.CUT, "failure", "network"), (faults.STALL, "timeout", "timeout")]
)
@pytest.mark.parametrize("body", [JSON, STREAM], ids=["json", "stream"])
def test_exception_after_the_headers(client, url, provider, counted, count, lib, fault, status, error_type, body):
    provider.script(fault)
    with pytest.raises(lib.TransportError):
        client.post(url, json=body, timeout=1)
    assert counted() == {status: 1}
    assert count("llm_errors_total", error_type=error_type) == count("llm_errors_total") == 1
    assert count("llmmetrics_calls_without_usage_total", reason="cut") == 1


@FAMILIES
async def test_exception_after_the_headers_async(aclient, url, provider, counted, count, lib):
    provider.script(faults.CUT)
    with pytest.raises(lib.TransportError):
        await aclient.post(url, json=STREAM)
    assert counted() == {"failure": 1}
    assert count("llm_errors_total", error_type="network") == 1
