"""One request by each HTTP client that has a door, alone or above another: nesting by nesting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest

MODEL = "m-1"
ASK = {"model": MODEL, "messages": [{"role": "user", "content": "Say hi."}]}
STREAM = {**ASK, "stream": True, "stream_options": {"include_usage": True}}


@dataclass(frozen=True)
class HttpClient:
    """`post(url, body)` sends one request, reads its answer to the end, and returns the HTTP status and the bytes."""

    needs: tuple[str, ...]
    post: Callable[[str, dict], tuple[int, bytes]]

    def load(self) -> None:
        for module in self.needs:
            pytest.importorskip(module)


def _requests(url, body):
    import requests

    with requests.Session() as session, session.post(url, json=body, stream=True) as answer:
        return answer.status_code, b"".join(answer.iter_content(64))


def _requests_whole(url, body):
    import requests

    with requests.Session() as session, session.post(url, json=body) as answer:
        return answer.status_code, answer.content


def _urllib3(url, body):
    import urllib3

    with urllib3.PoolManager() as pools:
        answer = pools.request("POST", url, json=body)
        return answer.status, answer.data


def _urllib3_pieces(url, body):
    import urllib3

    with urllib3.PoolManager() as pools:
        answer = pools.request("POST", url, json=body, preload_content=False)
        pieces = []
        while piece := answer.read(50):
            pieces.append(piece)
        return answer.status, b"".join(pieces)


def _aiohttp(url, body, read):
    import aiohttp

    async def ask():
        async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
            return answer.status, await read(answer)

    return asyncio.run(ask())


async def _whole(answer):
    return await answer.read()


async def _lines(answer):
    return b"".join([line async for line in answer.content])


async def _pieces(answer):
    return b"".join([piece async for piece in answer.content.iter_chunked(50)])


async def _chunks(answer):
    return b"".join([chunk async for chunk, _ in answer.content.iter_chunks()])


def _aiohttp_function(url, body):
    import aiohttp

    async def ask():
        async with aiohttp.request("POST", url, json=body) as answer:
            return answer.status, await answer.read()

    return asyncio.run(ask())


def _httpx_above_aiohttp(url, body):
    import httpx
    import httpx_aiohttp

    async def ask():
        async with httpx.AsyncClient(transport=httpx_aiohttp.AiohttpTransport(), follow_redirects=True) as client:
            answer = await client.post(url, json=body)
            return answer.status_code, answer.content

    return asyncio.run(ask())


def _httpx_above_requests(url, body):
    import httpx
    import requests

    class Transport(httpx.BaseTransport):
        def handle_request(self, request):
            headers = {name: value for name, value in request.headers.items() if name != "content-length"}
            answer = requests.post(str(request.url), data=request.read(), headers=headers, allow_redirects=False)
            length = {"transfer-encoding", "content-length", "content-encoding"}
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in length}
            return httpx.Response(answer.status_code, headers=kept, content=answer.content)

    with httpx.Client(transport=Transport(), follow_redirects=True) as client:
        answer = client.post(url, json=body)
        return answer.status_code, answer.content


def _httpx2(url, body):
    import httpx2

    with httpx2.Client(follow_redirects=True) as client:
        answer = client.post(url, json=body)
        return answer.status_code, answer.content


HTTP_CLIENTS: dict[str, HttpClient] = {
    "requests": HttpClient(("requests",), _requests),
    "requests, whole": HttpClient(("requests",), _requests_whole),
    "urllib3": HttpClient(("urllib3",), _urllib3),
    "urllib3, pieces": HttpClient(("urllib3",), _urllib3_pieces),
    "aiohttp": HttpClient(("aiohttp",), lambda url, body: _aiohttp(url, body, _whole)),
    "aiohttp, lines": HttpClient(("aiohttp",), lambda url, body: _aiohttp(url, body, _lines)),
    "aiohttp, pieces": HttpClient(("aiohttp",), lambda url, body: _aiohttp(url, body, _pieces)),
    "aiohttp, chunks": HttpClient(("aiohttp",), lambda url, body: _aiohttp(url, body, _chunks)),
    "aiohttp.request": HttpClient(("aiohttp",), _aiohttp_function),
    "httpx2": HttpClient(("httpx2",), _httpx2),
    "httpx > aiohttp": HttpClient(("httpx", "httpx_aiohttp"), _httpx_above_aiohttp),
    "httpx > requests > urllib3": HttpClient(("httpx", "requests"), _httpx_above_requests),
}
