"""A provider inside urllib3 and aiohttp: answers where a connection is made, so that the libraries stay as they are.

The library writes its request into a connection without a network, parses the reply that comes back, and raises its own
exceptions for what is wrong with it. requests and boto3 send through urllib3; google-genai's async client, aiobotocore
and httpx clients with a transport of aiohttp through aiohttp.
"""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from llmmetrics.testing import Reply, Request
from llmmetrics.testing.harness import is_llm_request, when_imported

Answer = Callable[[Request], Reply]


@contextmanager
def standing_in(answer: Answer) -> Iterator[None]:
    """Answer the connections to LLM hosts of urllib3 and aiohttp inside the block, also if they are imported in it."""
    with ExitStack() as stack:
        for name, patch in (("urllib3.connection", _urllib3), ("aiohttp.connector", _aiohttp)):

            def begin(module: Any, patch: Any = patch) -> None:
                for owner, method, made in patch(module, answer):
                    stack.enter_context(mock.patch.object(owner, method, made))

            stack.callback(when_imported(name, begin))
        yield


def _is_ours(host: str, port: int | None) -> bool:
    return is_llm_request("GET", host, port, "/")


def _request(raw: bytes, host: str) -> Request | None:
    """Read a request of HTTP/1.1; None if it is not complete."""
    head, blank, rest = raw.partition(b"\r\n\r\n")
    if not blank:
        return None
    first, *lines = head.decode("latin1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = _unchunked(rest) if headers.get("transfer-encoding", "").lower() == "chunked" else rest
    if body is None or len(body) < int(headers.get("content-length", 0)):
        return None
    method, target, _ = first.split(" ", 2)
    path, _, query = target.partition("?")
    return Request(method, path, query, headers, body, headers.get("host", host))


def _unchunked(rest: bytes) -> bytes | None:
    parts: list[bytes] = []
    while b"\r\n" in rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        if length == 0:
            return b"".join(parts)
        if len(rest) < length + 2:
            return None
        parts.append(rest[:length])
        rest = rest[length + 2 :]
    return None


def _head(reply: Reply) -> bytes:
    frame = "transfer-encoding: chunked" if reply.stream else f"content-length: {sum(map(len, reply.chunks))}"
    lines = [f"HTTP/1.1 {reply.status} Simulated", *(f"{name}: {value}" for name, value in reply.headers)]
    return "\r\n".join([*lines, frame, "connection: close", "", ""]).encode("latin1")


def _pieces(reply: Reply) -> Iterator[bytes]:
    """Yield the reply's bytes up to the point where the fault ends it."""
    yield _head(reply)
    for chunk in reply.passing:
        yield b"%x\r\n%b\r\n" % (len(chunk), chunk) if reply.stream else chunk
    if reply.stream and reply.cut_after is None and reply.stall_after is None:
        yield b"0\r\n\r\n"


def _is_dns(reply: Reply) -> bool:
    return "Name or service" in reply.says


def _is_tls(reply: Reply) -> bool:
    return reply.raises == "ConnectError" and "CERTIFICATE" in reply.says.upper()


# urllib3


def _urllib3(module: Any, answer: Answer) -> Iterator[tuple[type[Any], str, Any]]:
    for kind in (module.HTTPConnection, module.HTTPSConnection):
        yield kind, "connect", _connect(kind.connect, answer)


def _connect(original: Any, answer: Answer) -> Any:
    def connect(self: Any) -> None:
        if self.proxy is not None or not _is_ours(self.host, self.port):
            original(self)
            return
        self.sock = _FakeSocket(self, answer)
        # no warning of a certificate that nothing has checked
        self.is_verified = True

    return connect


class _FakeSocket:
    """A socket that answers what is written to it."""

    def __init__(self, connection: Any, answer: Answer) -> None:
        self._connection = connection
        self._answer = answer
        self._written = b""

    def sendall(self, data: Any) -> None:
        self._written += bytes(data)

    def makefile(self, *_: Any, **__: Any) -> Any:
        request = _request(self._written, self._connection.host)
        if request is None:
            raise ConnectionResetError(104, "Connection reset by peer")
        self._written = b""
        reply = self._answer(request)
        _raise_as_urllib3(reply, self._connection)
        return io.BufferedReader(_FakeBody(reply))

    def settimeout(self, _: Any) -> None:
        """Ignore it: a fault decides what times out."""

    def setsockopt(self, *_: Any) -> None:
        """Ignore it: there is no network."""

    shutdown = setsockopt

    def close(self) -> None:
        """Do nothing: there is no connection."""


class _FakeBody(io.RawIOBase):
    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._left = _pieces(reply)
        self._held = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._held = self._held or next(self._left, b"")
        if not self._held and self._reply.stall_after is not None:
            raise TimeoutError("timed out")
        size = min(len(buffer), len(self._held))
        buffer[:size], self._held = self._held[:size], self._held[size:]
        return size


def _raise_as_urllib3(reply: Reply, connection: Any) -> None:
    if not reply.raises:
        return
    from socket import gaierror

    from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

    if reply.raises in ("ConnectTimeout", "PoolTimeout"):
        raise ConnectTimeoutError(connection, f"Connection to {connection.host} timed out")
    if reply.raises in ("ReadTimeout", "WriteTimeout"):
        raise TimeoutError(reply.says)
    if _is_tls(reply):
        raise ssl.SSLCertVerificationError(1, reply.says)
    if _is_dns(reply):
        raise NameResolutionError(connection.host, connection, gaierror(-2, "Name or service not known"))
    if reply.raises == "ConnectError":
        raise NewConnectionError(connection, f"Failed to establish a new connection: {reply.says}")
    raise ConnectionResetError(104, "Connection reset by peer")


# aiohttp


def _aiohttp(module: Any, answer: Answer) -> Iterator[tuple[type[Any], str, Any]]:
    original = module.BaseConnector.connect

    async def connect(self: Any, req: Any, *args: Any, **options: Any) -> Any:
        if req.proxy is not None or not _is_ours(req.url.host or "", req.url.port):
            return await original(self, req, *args, **options)
        loop = asyncio.get_running_loop()
        protocol = self._factory()
        protocol.connection_made(_FakeTransport(protocol, answer, req, loop))
        # what a fault has left cannot be used again
        protocol.force_close()
        return module.Connection(self, req.connection_key, protocol, loop)

    yield module.BaseConnector, "connect", connect


class _FakeTransport(asyncio.Transport):
    """A transport that answers what is written to it."""

    def __init__(self, protocol: Any, answer: Answer, req: Any, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._protocol = protocol
        self._answer = answer
        self._req = req
        self._loop = loop
        self._written = b""
        self._closing = False

    def write(self, data: Any) -> None:
        self._written += bytes(data)
        if (request := _request(self._written, self._req.url.host)) is not None:
            self._written = b""
            # an AssertionError of the script belongs to the caller, as any error of a connection
            try:
                reply = self._answer(request)
            except BaseException as exc:
                self._protocol.set_exception(exc)
                return
            self._loop.call_soon(self._send, reply)

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(map(bytes, list_of_data)))

    def _send(self, reply: Reply) -> None:
        if reply.raises:
            self._protocol.set_exception(_as_aiohttp(reply, self._req.connection_key))
            return
        for piece in _pieces(reply):
            if self._protocol.transport is not None:
                self._protocol.data_received(piece)
        if reply.stall_after is not None:
            # what its timer calls
            self._protocol._on_read_timeout()  # noqa: SLF001
        elif not self._closing:
            self._closing = True
            self._protocol.connection_lost(None)

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    abort = close

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ARG002 - as of a transport
        return default

    def pause_reading(self) -> None:
        """Do nothing: all of the reply is there."""

    resume_reading = pause_reading


def _as_aiohttp(reply: Reply, key: Any) -> Exception:
    import aiohttp

    if reply.raises in ("ConnectTimeout", "PoolTimeout"):
        return aiohttp.ConnectionTimeoutError(f"Connection timeout to host {key.host}")
    if reply.raises in ("ReadTimeout", "WriteTimeout"):
        return aiohttp.SocketTimeoutError("Timeout on reading data from socket")
    if _is_tls(reply):
        return aiohttp.ClientConnectorCertificateError(key, ssl.SSLCertVerificationError(1, reply.says))
    if _is_dns(reply):
        return aiohttp.ClientConnectorDNSError(key, OSError(-2, "Name or service not known"))
    if reply.raises == "ConnectError":
        return aiohttp.ClientConnectorError(key, OSError(111, f"Connect call failed {(key.host, key.port)}"))
    return aiohttp.ClientOSError(104, "Connection reset by peer")
