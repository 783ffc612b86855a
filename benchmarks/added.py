"""Measures what metering adds to a call: the same client with and without it, in turns, with answers from memory.

Prints the median of the differences and their quartiles; the first row, plain against plain, is the noise.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time

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


def answer(size: int) -> bytes:
    message = {"role": "assistant", "content": "x" * size}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps({"id": "1", "model": "gpt-4o-mini", "choices": [choice], "usage": USAGE}).encode()


def events() -> list[bytes]:
    chunk = {"id": "1", "model": "gpt-4o-mini", "usage": None, "choices": [{"index": 0, "delta": {"content": " word"}}]}
    last = {"id": "1", "model": "gpt-4o-mini", "choices": [], "usage": USAGE}
    return [b"data: %b\n\n" % json.dumps(each).encode() for each in [chunk] * CHUNKS + [last]] + [b"data: [DONE]\n\n"]


class Body(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    def __init__(self, chunks):
        self.chunks = chunks

    def __iter__(self):
        yield from self.chunks

    async def __aiter__(self):
        for chunk in self.chunks:
            yield chunk


class Memory(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Answers from memory: no socket, no server."""

    def __init__(self, chunks):
        self.chunks = chunks

    def handle_request(self, _request):
        return httpx2.Response(200, stream=Body(self.chunks))

    async def handle_async_request(self, _request):
        return httpx2.Response(200, stream=Body(self.chunks))


def drain(client) -> None:
    with client.stream("POST", URL, json=ASK) as response:
        for _ in response.iter_raw():
            pass


async def adrain(client) -> None:
    async with client.stream("POST", URL, json=ASK) as response:
        async for _ in response.aiter_raw():
            pass


def block(client, calls: int, *, asynchronous: bool) -> float:
    """Return the seconds of one call, the median of a block."""
    times = []

    async def run() -> None:
        for _ in range(calls):
            start = time.perf_counter()
            await adrain(client)
            times.append(time.perf_counter() - start)

    if asynchronous:
        asyncio.run(run())
    else:
        for _ in range(calls):
            start = time.perf_counter()
            drain(client)
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def compare(
    name: str,
    chunks: list[bytes],
    rounds: int,
    calls: int,
    *,
    asynchronous: bool,
    metered: bool = True,
    limit: int | None = None,
) -> None:
    prices = {"CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 2}
    settings = {
        "Budget": {"Ledger": "memory://"},
        "Backends": [{"Name": "b", "Type": "OpenAI", "MaxSpendUsd": limit, **prices}],
    }
    meter = Meter.from_settings(settings, registry=CollectorRegistry())
    made, door = (httpx2.AsyncClient, meter.async_transport) if asynchronous else (httpx2.Client, meter.transport)
    plain = made(transport=Memory(chunks))
    other = made(transport=door(Memory(chunks), backend="b") if metered else Memory(chunks))
    differences, base = [], []
    for turn in range(-2, rounds):
        first, second = (plain, other) if turn % 2 else (other, plain)
        taken = {client: block(client, calls, asynchronous=asynchronous) for client in (first, second)}
        if turn >= 0:
            base.append(taken[plain])
            differences.append(taken[other] - taken[plain])
    per = max(1, len(chunks))
    low, middle, high = (1e6 / per * each for each in statistics.quantiles(differences, n=4))
    print(f"{name:34} {1e6 / per * statistics.median(base):9.2f} {middle:9.2f} [{low:.2f}, {high:.2f}]")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    small, large, stream = [answer(1400)], [answer(200_000)], events()
    print(f"{'microseconds':34} {'plain':>9} {'added':>9} [quartiles]")
    compare("noise: plain against plain", small, rounds, 200, asynchronous=False, metered=False)
    for asynchronous in (False, True):
        kind = "async" if asynchronous else "sync"
        compare(f"a JSON call of 2 KB, {kind}", small, rounds, 200, asynchronous=asynchronous)
        compare(f"the same with a budget, {kind}", small, rounds, 200, asynchronous=asynchronous, limit=1_000_000)
        compare(f"a JSON call of 200 KB, {kind}", large, rounds, 50, asynchronous=asynchronous)
        compare(f"a chunk of a stream of {CHUNKS}, {kind}", stream, rounds, 20, asynchronous=asynchronous)


if __name__ == "__main__":
    main()
