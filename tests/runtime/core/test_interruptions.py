"""Calls that are interrupted, cancelled or dropped, and requests that are not calls."""

from __future__ import annotations

import asyncio
import gc
import json
from contextlib import suppress

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


async def until(condition) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen within 10 s")


# the caller goes away


@FAMILIES
async def test_cancelled_before_the_headers(aclient, url, provider, counted, count, lib):
    provider.script(faults.SLOW_FIRST_BYTE)
    task = asyncio.create_task(aclient.post(url, json=JSON))
    await until(lambda: provider.requests)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert counted() == {"cancelled": 1}
    assert count("llm_errors_total") == 0
    assert count("llm_tokens_total", token_type="prompt") == ESTIMATED
    assert count("llm_tokens_total", token_type="completion") == 0


@FAMILIES
async def test_cancelled_during_the_body(aclient, url, provider, counted, lib):
    provider.script(faults.STALL)
    seen = []

    async def read():
        async with aclient.stream("POST", url, json=STREAM) as response:
            async for line in response.aiter_lines():
                seen.append(line)  # noqa: PERF401 - it is watched while it grows

    task = asyncio.create_task(read())
    await until(lambda: seen)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert counted() == {"cancelled": 1}


@FAMILIES
async def test_a_deadline_of_the_caller_cancels(aclient, url, provider, counted, count, lib):
    provider.script(faults.STALL)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await aclient.post(url, json=STREAM)
    assert counted() == {"cancelled": 1}
    assert count("llm_errors_total") == 0


@FAMILIES
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_dropped_and_collected(client, url, counted, lib):
    response = client.send(client.build_request("POST", url, json=STREAM), stream=True)
    chunks = response.iter_raw()
    next(chunks)
    del response, chunks
    gc.collect()
    assert counted() == {"cancelled": 1}


@FAMILIES
@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_dropped_and_collected_async(aclient, url, counted, count, lib):
    response = await aclient.send(aclient.build_request("POST", url, json=STREAM), stream=True)
    chunks = response.aiter_raw()
    await anext(chunks)
    del response, chunks
    # the event loop closes a dropped generator in a task of its own
    await until(lambda: gc.collect() >= 0 and count("llm_active_requests") == 0)
    assert counted() == {"cancelled": 1}


@FAMILIES
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_dropped_calls_are_counted_by_the_next_call_too(client, meter, url, lib):
    client.send(client.build_request("POST", url, json=STREAM), stream=True)
    gc.collect()
    assert meter.engine.dropped
    client.post(url, json=JSON)
    assert not meter.engine.dropped


class Interrupted:
    """An inner transport in which Ctrl-C arrives: before the headers, or in the body."""

    def __init__(self, lib, moment):
        self.lib, self.moment = lib, moment

    def make(self):
        lib, moment = self.lib, self.moment

        class Body(lib.SyncByteStream):
            def __iter__(self):
                yield b'data: {"choices": []}\n\n'
                raise KeyboardInterrupt

        class ABody(lib.AsyncByteStream):
            async def __aiter__(self):
                yield b'data: {"choices": []}\n\n'
                raise KeyboardInterrupt

        class Inner(lib.BaseTransport, lib.AsyncBaseTransport):
            def handle_request(self, request):
                if moment == "before":
                    raise KeyboardInterrupt
                return lib.Response(200, stream=Body())

            async def handle_async_request(self, request):
                if moment == "before":
                    raise KeyboardInterrupt
                return lib.Response(200, stream=ABody())

        return Inner()


@FAMILIES
@pytest.mark.parametrize("moment", ["before", "during"])
def test_keyboard_interrupt(meter, url, counted, count, lib, moment):
    client = lib.Client(transport=meter.transport(Interrupted(lib, moment).make()))
    with pytest.raises(KeyboardInterrupt):
        client.post(url, json=STREAM)
    assert counted() == {"cancelled": 1}
    assert count("llm_errors_total") == 0


@FAMILIES
@pytest.mark.parametrize("moment", ["before", "during"])
def test_keyboard_interrupt_async(meter, url, counted, lib, moment):
    client = lib.AsyncClient(transport=meter.async_transport(Interrupted(lib, moment).make()))
    coroutine = client.post(url, json=STREAM)
    with pytest.raises(KeyboardInterrupt):
        # driven by hand: an event loop would itself end with the interrupt
        coroutine.send(None)
    assert counted() == {"cancelled": 1}


@FAMILIES
def test_keyboard_interrupt_in_the_callers_own_code(client, url, counted, lib):
    with suppress(KeyboardInterrupt), client.stream("POST", url, json=STREAM) as response:
        for _ in response.iter_raw():
            raise KeyboardInterrupt
    assert counted() == {"cancelled": 1}


# what is no call


@FAMILIES
def test_a_redirect_hop_is_no_call(meter, counted, lib):
    def answer(request):
        if request.url.path.startswith("/old"):
            return lib.Response(307, headers={"location": "/new/chat/completions"})
        return lib.Response(200, json={"model": "m", "usage": {"prompt_tokens": 1, "completion_tokens": 1}})

    client = lib.Client(transport=meter.transport(lib.MockTransport(answer)), follow_redirects=True)
    client.post("https://host.example/old/chat/completions", json=JSON)
    assert counted() == {"success": 1}


@FAMILIES
def test_a_mock_that_refuses_a_request_is_no_provider(meter, counted, lib):
    def refuse(request):
        raise AssertionError("not mocked")

    client = lib.Client(transport=meter.transport(lib.MockTransport(refuse)))
    with pytest.raises(AssertionError, match="not mocked"):
        client.post("https://api.openai.com/v1/chat/completions", json=JSON)
    assert counted() == {}


@FAMILIES
def test_any_other_exception_is_unknown(meter, counted, count, lib):
    def fail(request):
        raise LookupError

    client = lib.Client(transport=meter.transport(lib.MockTransport(fail)))
    with pytest.raises(LookupError):
        client.post("https://api.openai.com/v1/chat/completions", json=JSON)
    assert counted() == {"failure": 1}
    assert count("llm_errors_total", error_type="unknown") == 1


@FAMILIES
def test_other_requests_pass_and_are_counted_apart(client, provider, counted, count, lib):
    assert client.get(f"{provider.url}/openai/v1/models").json()["data"]
    assert counted() == {}
    assert count("llmmetrics_unmetered_requests_total", backend="openai") == 1
