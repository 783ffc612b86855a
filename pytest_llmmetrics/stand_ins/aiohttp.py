"""A peer inside aiohttp, and so inside google-genai's async client, aiobotocore, and httpx above aiohttp.

A connector asks for an answer before it connects. With a reply, its connection has no network: aiohttp parses the
reply and raises its own exceptions. A request that passes is sent for real, and what comes back is shown.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from typing import Any

from llmmetrics.testing import Reply, Request
from pytest_llmmetrics.stand_ins.messages import (
    WHILE_READING,
    Answer,
    Blocking,
    Onlooker,
    Passed,
    Takes,
    is_dns,
    is_tls,
    pieces_of,
    request_of,
    unwatched,
)

_NEARLY = 0.999
"""Of a timeout: aiohttp's own timer must not come first, as its end could not be told from the caller's."""
_BODY = 1
"""The piece after the head."""


def patches(module: Any, answer: Answer, takes: Takes) -> Iterator[tuple[type[Any], str, Any]]:
    """Yield the methods to replace, with the new ones."""
    original = module.BaseConnector.connect

    async def connect(self: Any, req: Any, traces: Any, timeout: Any) -> Any:  # noqa: ASYNC109 - as of aiohttp
        if not takes(req.url.host or "", req.url.port):
            return await original(self, req, traces, timeout)
        answered = answer(await _request(req))
        if isinstance(answered, Passed):
            connection = await original(self, req, traces, timeout)
            transport, protocol = connection.transport, connection.protocol
            transport.set_protocol(_SeenProtocol(protocol, answered))
            # the pool keeps the connection, also after the test
            connection.add_callback(lambda: transport.set_protocol(protocol))
            return connection
        if isinstance(answered, Blocking):
            answered = await asyncio.to_thread(answered.make)
        reply, onlooker = unwatched(answered)
        if "Timeout" in reply.raises:
            await onlooker.awaits(_limit(timeout, reply.raises))
        loop = asyncio.get_running_loop()
        protocol = self._factory()
        transport = _ReplyTransport(protocol, reply, onlooker, req, loop, _limit(timeout, "ReadTimeout"))
        protocol.connection_made(transport)
        # what a fault has left cannot be used again
        protocol.force_close()
        connection = module.Connection(self, req.connection_key, protocol, loop)
        connection.add_callback(lambda: onlooker.closed(early=transport.stalls))
        return connection

    yield module.BaseConnector, "connect", connect


def _limit(timeout: Any, raises: str) -> float | None:
    """Return how long aiohttp waits until it raises this; None: without end."""
    names = ("sock_read",) if raises in WHILE_READING else ("connect", "sock_connect")
    known = [seconds for name in names if (seconds := getattr(timeout, name))]
    known += [timeout.total] if timeout.total else []
    return min(known) * _NEARLY if known else None


async def _request(req: Any) -> Request:
    url = req.url
    headers = {name.lower(): value for name, value in req.headers.items()}
    host = headers.get("host", url.host or "")
    return Request(req.method, url.raw_path, url.raw_query_string, headers, await _body(req.body), host, url.scheme)


async def _body(body: Any) -> bytes:
    """Return the bytes of a payload; nothing of one that can be read only once."""
    if isinstance(body, bytes):
        return body
    try:
        return bytes(await body.as_bytes())
    except (AttributeError, TypeError):
        # before aiohttp 3.12, a payload of bytes holds them
        value = getattr(body, "_value", None)
        return value if isinstance(value, bytes) else b""


class _SeenProtocol(asyncio.Protocol):
    """Passes everything to aiohttp's protocol, and shows what was received."""

    def __init__(self, inner: Any, passed: Passed) -> None:
        self._inner = inner
        self._passed = passed

    def data_received(self, data: bytes) -> None:
        self._passed.see(data)
        self._inner.data_received(data)

    def eof_received(self) -> Any:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


class _ReplyTransport(asyncio.Transport):
    """A transport that answers when a request was written to it."""

    def __init__(
        self,
        protocol: Any,
        reply: Reply,
        onlooker: Onlooker,
        req: Any,
        loop: asyncio.AbstractEventLoop,
        patience: float | None,
    ) -> None:
        super().__init__()
        self._protocol = protocol
        self._reply = reply
        self._onlooker = onlooker
        self._patience = patience
        self._sent = 0
        self.stalls = False
        """Whether it waits for the client's timeout."""
        self._req = req
        self._loop = loop
        self._written = bytearray()
        self._left = pieces_of(reply)
        self._paused = False
        self._closing = False

    def write(self, data: Any) -> None:
        self._written += data
        if request_of(self._written, "", "") is not None:
            self._written = bytearray()
            self._loop.call_soon(self._send)

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(map(bytes, list_of_data)))

    def _send(self) -> None:
        """Send the next piece: the caller may close a stream before its end."""
        reply, protocol = self._reply, self._protocol
        if reply.raises:
            protocol.set_exception(_exception_of(reply, self._req.connection_key))
            return
        if self._paused or protocol.transport is None or not self._arrives():
            return
        if (piece := next(self._left, None)) is not None:
            protocol.data_received(piece)
            self._loop.call_soon(self._send)
        elif reply.stall_after is not None:
            self.stalls = True
            self._loop.create_task(self._stall())
        elif not self._closing:
            self._closing = True
            protocol.connection_lost(None)

    def _arrives(self) -> bool:
        part = {0: "headers", _BODY: "body"}.get(self._sent)
        self._sent += 1
        return part is None or self._onlooker.sends(part)

    async def _stall(self) -> None:
        await self._onlooker.awaits(self._patience)
        self.stalls = False
        # what its timer calls
        self._protocol._on_read_timeout()  # noqa: SLF001

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    abort = close

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ARG002 - as of a transport
        return default

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            self._loop.call_soon(self._send)


def _exception_of(reply: Reply, key: Any) -> Exception:
    import aiohttp

    if reply.raises in ("ConnectTimeout", "PoolTimeout"):
        return aiohttp.ConnectionTimeoutError(f"Connection timeout to host {key.host}")
    if reply.raises in WHILE_READING:
        return aiohttp.SocketTimeoutError("Timeout on reading data from socket")
    if is_tls(reply):
        return aiohttp.ClientConnectorCertificateError(key, ssl.SSLCertVerificationError(1, reply.says))
    if is_dns(reply):
        return aiohttp.ClientConnectorDNSError(key, OSError(-2, "Name or service not known"))
    if reply.raises == "ConnectError":
        return aiohttp.ClientConnectorError(key, OSError(111, f"Connect call failed {(key.host, key.port)}"))
    return aiohttp.ClientOSError(104, "Connection reset by peer")
