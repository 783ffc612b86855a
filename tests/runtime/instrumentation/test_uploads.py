"""A file of requests is read while it is uploaded: nothing is held, and the bytes stay as they are."""

from __future__ import annotations

import asyncio
import io
import json
import tracemalloc

import httpx
import httpx2
import pytest
from prometheus_client import CollectorRegistry
from support import SOAK

from llmmetrics import Meter

FILES = "https://api.openai.com/v1/files"
BODY = {"model": "gpt-5", "max_tokens": 100, "messages": [{"role": "user", "content": "x" * 1000}]}
LINE = json.dumps({"custom_id": "r", "method": "POST", "url": "/v1/chat/completions", "body": BODY}).encode() + b"\n"


@pytest.fixture
def meter():
    backend = {"Name": "b", "Type": "OpenAI", "MaxSpendUsd": 10**6}
    settings = {"Budget": {"Ledger": "memory://", "Mode": "strict"}, "Backends": [backend]}
    with Meter.from_settings(settings, registry=CollectorRegistry()) as meter:
        yield meter


def kept(meter):
    """The numbers of requests that were seen in the files."""
    rows = meter.engine.enforcer.ledger._answers
    return [json.loads(row.note)[3] for id, row in rows.items() if id.owner.startswith("upload:")]


class Sink(httpx.BaseTransport):
    """Takes an upload piece by piece, as a connection does."""

    size, status = 0, 200

    def handle_request(self, request):
        for chunk in request.stream:
            self.size += len(chunk)
        return httpx.Response(self.status, json={"id": "file-1"})


class Endless(io.RawIOBase):
    """A file of so many copies of a line that is never in memory."""

    def __init__(self, line, lines):
        self.line, self.left = line, lines * len(line)
        self.at = 0

    def readable(self):
        return True

    def readinto(self, buffer):
        size = min(self.left, len(buffer))
        data = (self.line * (size // len(self.line) + 2))[self.at : self.at + size]
        self.at = (self.at + size) % len(self.line)
        self.left -= size
        buffer[:size] = data
        return size


def test_a_long_file_is_never_held(meter):
    # a gigabyte in the soak
    line = LINE.replace(b"x" * 1000, b"x " * 50_000)
    lines = (1 << 30 if SOAK else 16 << 20) // len(line)
    sink = Sink()
    client = httpx.Client(transport=meter.transport(sink, family="httpx"))
    tracemalloc.start()
    client.post(FILES, data={"purpose": "batch"}, files={"file": ("x.jsonl", Endless(line, lines))})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sink.size > lines * len(line)
    assert peak < 8 << 20
    assert kept(meter) == [lines]


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_both_libraries_sync_and_async(meter, library):
    seen = []

    def answer(request):
        seen.append(request.read())
        return library.Response(200, json={"id": f"file-{len(seen)}"})

    async def aanswer(request):
        seen.append(await request.aread())
        return library.Response(200, json={"id": f"file-{len(seen)}"})

    family, form = library.__name__, {"data": {"purpose": "batch"}, "files": {"file": LINE * 3}}
    library.Client(transport=meter.transport(library.MockTransport(answer), family=family)).post(FILES, **form)

    async def post():
        transport = meter.async_transport(library.MockTransport(aanswer), family=family)
        async with library.AsyncClient(transport=transport) as client:
            await client.post(FILES, **form)

    asyncio.run(post())
    assert all(LINE * 3 in each for each in seen)
    assert kept(meter) == [3, 3]


def test_an_upload_that_fails_is_not_kept(meter):
    client = httpx.Client(
        transport=meter.transport(httpx.MockTransport(lambda _: httpx.Response(400, json={})), family="httpx")
    )
    client.post(FILES, files={"file": LINE})
    assert kept(meter) == []


def test_a_request_that_is_sent_again_is_read_again(meter):
    sink = Sink()
    client = httpx.Client(transport=meter.transport(sink, family="httpx"))
    request = client.build_request("POST", FILES, files={"file": LINE * 2})
    stream = request.stream
    sink.status = 503
    client.send(request)
    assert request.stream is stream
    assert kept(meter) == []
    sink.status = 200
    client.send(request)
    assert kept(meter) == [2]
