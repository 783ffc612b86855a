"""Makes many calls with every ending through one meter; prints the memory at a tenth and at the end, and the sums."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from pathlib import Path

import httpx
from prometheus_client import CollectorRegistry

from llmmetrics import Meter

URL = "https://api.openai.com/v1/chat/completions"
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
WHOLE = json.dumps({"model": "m", "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": USAGE})
EVENTS = (
    'data: {"model": "m", "choices": [{"delta": {"content": "x"}}]}\n\n',
    'data: {"model": "m", "choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n',
    f"data: {json.dumps({'model': 'm', 'choices': [], 'usage': USAGE})}\n\n",
    "data: [DONE]\n\n",
)
ENDINGS = ("whole", "stream", "closed", "dropped", "limited", "refused", "broken", "late", "cancelled")
"""What becomes of a call; each is a model of its own, so that its sums are seen alone."""


class Events(httpx.SyncByteStream):
    def __iter__(self):
        return (each.encode() for each in EVENTS)


def answer(request: httpx.Request) -> httpx.Response:
    ending = json.loads(request.content)["model"]
    if ending == "broken":
        raise httpx.ConnectError("no route", request=request)
    if ending == "late":
        raise httpx.ReadTimeout("too slow", request=request)
    if ending in ("limited", "refused"):
        return httpx.Response(429 if ending == "limited" else 500, json={"error": {"message": "no"}})
    if ending == "whole":
        return httpx.Response(200, json=json.loads(WHOLE))
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Events())


async def never(request: httpx.Request) -> httpx.Response:
    await asyncio.Event().wait()
    raise AssertionError


def memory() -> int:
    """Return the resident memory in bytes."""
    gc.collect()
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4096


async def cancelled(client: httpx.AsyncClient) -> None:
    task = asyncio.ensure_future(client.post(URL, json={"model": "cancelled"}))
    await asyncio.sleep(0)
    while not task.done():
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()


def call(client: httpx.Client, ending: str) -> None:
    request = client.build_request("POST", URL, json={"model": ending, "stream": ending != "whole"})
    try:
        response = client.send(request, stream=True)
    except httpx.HTTPError:
        return
    if ending == "dropped":
        return
    if ending != "closed":
        response.read()
    response.close()


def main(count: int) -> None:
    registry = CollectorRegistry()
    backend = {
        "Name": "openai",
        "Type": "OpenAI",
        "CostPerMillionInputTokens": "1.25",
        "CostPerMillionOutputTokens": 10,
    }
    meter = Meter.from_settings({"Backends": [backend]}, registry=registry)
    client = httpx.Client(transport=meter.transport(httpx.MockTransport(answer)))
    loop = asyncio.new_event_loop()
    waiting = httpx.AsyncClient(transport=meter.async_transport(httpx.MockTransport(never)))
    early = 0
    for n in range(count):
        ending = ENDINGS[n % len(ENDINGS)]
        if ending == "cancelled":
            loop.run_until_complete(cancelled(waiting))
        else:
            call(client, ending)
        if n == count // 10:
            early = memory()
    late = memory()
    samples = [(sample.name, sample.labels, sample.value) for family in registry.collect() for sample in family.samples]
    sys.stdout.write(json.dumps({"early": early, "late": late, "samples": samples}))


main(int(sys.argv[1]))
