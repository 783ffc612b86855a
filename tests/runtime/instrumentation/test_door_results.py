"""The results of a batch through other doors than httpx: each line counts once, and each byte is read once."""

from __future__ import annotations

import asyncio
import gzip
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.servers import in_a_thread

import llmmetrics
from llmmetrics import Meter
from llmmetrics.reading.results import Lines

ROWS = 400


def line(n):
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
    body = {"object": "chat.completion", "model": "gpt-4o-mini", "usage": usage}
    return json.dumps({"custom_id": f"r{n}", "response": {"status_code": 200, "body": body}, "error": None}) + "\n"


FILE = "".join(map(line, range(ROWS))).encode()


async def with_aiohttp(url, read):
    aiohttp = pytest.importorskip("aiohttp")
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return await read(answer.content)


async def by_line(stream):
    return b"".join([each async for each in stream])


async def by_chunk(stream):
    return b"".join([each async for each in stream.iter_chunked(1000)])


async def by_byte_count(stream):
    pieces = []
    while piece := await stream.read(1000):
        pieces.append(piece)
    return b"".join(pieces)


def with_requests(url, *, stream):
    requests = pytest.importorskip("requests")
    with requests.Session() as session, session.get(url, stream=stream) as answer:
        return b"".join(answer.iter_content(1000)) if stream else answer.content


READS = {
    "aiohttp, lines": lambda url: asyncio.run(with_aiohttp(url, by_line)),
    "aiohttp, chunks": lambda url: asyncio.run(with_aiohttp(url, by_chunk)),
    "aiohttp, pieces": lambda url: asyncio.run(with_aiohttp(url, by_byte_count)),
    "aiohttp, whole": lambda url: asyncio.run(with_aiohttp(url, lambda stream: stream.read())),
    "requests": lambda url: with_requests(url, stream=False),
    "requests, stream": lambda url: with_requests(url, stream=True),
}


class Files(BaseHTTPRequestHandler):
    def do_GET(self):
        packed = self.path.startswith("/gzip")
        body = gzip.compress(FILE) if packed else FILE
        self.send_response(200)
        if packed:
            self.send_header("content-encoding", "gzip")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def files():
    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as server, in_a_thread(server):
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.mark.parametrize("encoding", [None, "gzip"], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", READS)
def test_each_byte_is_read_once(files, count, registry, monkeypatch, name, encoding):
    read, feed = [], Lines.feed
    monkeypatch.setattr(Lines, "feed", lambda self, data: read.append(len(data)) or feed(self, data))
    base = f"{files}/{encoding}/v1"
    backend = {"Name": "b", "Type": "OpenAI", "BaseUrl": base}
    llmmetrics.instrument(Meter.from_settings({"Backends": [backend]}, registry=registry))
    try:
        assert READS[name](f"{base}/files/file-1/content") == FILE
    finally:
        llmmetrics.uninstrument()
    assert count("llm_tokens_total", token_type="total") == 11 * ROWS
    assert sum(read) == len(FILE)
