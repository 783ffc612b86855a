"""A provider that answers from memory: no socket, no server, so that a client's own time is all that is measured."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

import httpx2
from prometheus_client import CollectorRegistry

from llmmetrics import Meter

URL = "http://127.0.0.1:9/v1/chat/completions"
ASK = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hi. " * 60}]}
CHUNKS = 500
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}


def answer(size: int) -> list[bytes]:
    """Make an answer with a text of so many bytes, in one chunk."""
    message = {"role": "assistant", "content": "x" * size}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return [json.dumps({"id": "1", "model": "gpt-4o-mini", "choices": [choice], "usage": USAGE}).encode()]


def events() -> list[bytes]:
    """Make a streamed answer, an event in each chunk."""
    chunk = {"id": "1", "model": "gpt-4o-mini", "usage": None, "choices": [{"index": 0, "delta": {"content": " word"}}]}
    last = {"id": "1", "model": "gpt-4o-mini", "choices": [], "usage": USAGE}
    return [b"data: %b\n\n" % json.dumps(each).encode() for each in [chunk] * CHUNKS + [last]] + [b"data: [DONE]\n\n"]


class Body(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = chunks

    def __iter__(self):
        yield from self.chunks

    async def __aiter__(self):
        for chunk in self.chunks:
            yield chunk


class Memory(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = chunks

    def handle_request(self, _request):
        return httpx2.Response(200, stream=Body(self.chunks))

    async def handle_async_request(self, _request):
        return httpx2.Response(200, stream=Body(self.chunks))


def new_meter(limit: int | None = None) -> Meter:
    """Make a meter with one backend, `b`, which has a price and perhaps a limit in USD. It counts the tag `tenant`."""
    prices = {"CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 2}
    backend = {"Name": "b", "Type": "OpenAI", "MaxSpendUsd": limit, **prices}
    settings = {"Budget": {"Ledger": "memory://"}, "Attribution": {"Keys": ["tenant"]}, "Backends": [backend]}
    return Meter.from_settings(settings, registry=CollectorRegistry())


def drain(client: httpx2.Client) -> None:
    with client.stream("POST", URL, json=ASK) as response:
        for _ in response.iter_raw():
            pass


async def adrain(client: httpx2.AsyncClient) -> None:
    async with client.stream("POST", URL, json=ASK) as response:
        async for _ in response.aiter_raw():
            pass


Block = Callable[[int], float]
"""Makes so many calls; returns the seconds of one."""


def block(transport: Memory, *, asynchronous: bool) -> Block:
    """Return what makes calls through a transport, in this thread."""
    if asynchronous:
        client = httpx2.AsyncClient(transport=transport)
        loop = asyncio.new_event_loop()

        async def acalls(calls: int) -> float:
            start = time.perf_counter()
            for _ in range(calls):
                await adrain(client)
            return (time.perf_counter() - start) / calls

        return lambda calls: loop.run_until_complete(acalls(calls))
    sync_client = httpx2.Client(transport=transport)

    def run(calls: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            drain(sync_client)
        return (time.perf_counter() - start) / calls

    return run
