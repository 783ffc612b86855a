"""A peer inside urllib3, and so inside requests and boto3.

A connection gets a socket that holds what is written to it until the request is complete. Then it answers, and urllib3
parses the reply and raises its own exceptions; or it connects for real, and shows what comes back.
"""

from __future__ import annotations

import io
import socket
import ssl
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any
from weakref import WeakSet

from llmmetrics.testing import Reply
from pytest_llmmetrics.stand_ins.messages import (
    WHILE_READING,
    Answer,
    Blocking,
    Onlooker,
    Passed,
    Takes,
    expects,
    is_dns,
    is_tls,
    pieces_of,
    request_of,
    unwatched,
)

_BODY = 2
"""The piece after the head."""


class HeldConnections:
    """The connections that one answer holds."""

    def __init__(self, answer: Answer, takes: Takes) -> None:
        self._answer = answer
        self._takes = takes
        self._sockets: WeakSet[_HeldSocket] = WeakSet()
        self._lock = Lock()

    def patches(self, module: Any) -> Iterator[tuple[type[Any], str, Any]]:
        """Yield the methods of `urllib3.connection` to replace, with the new ones."""
        for kind in (module.HTTPConnection, module.HTTPSConnection):
            yield kind, "connect", self._connect(kind.connect)

    def pool_patches(self, module: Any) -> Iterator[tuple[type[Any], str, Any]]:
        """Yield the method of `urllib3.connectionpool` to replace, with the new one."""
        original = module.HTTPConnectionPool._get_conn  # noqa: SLF001 - requests and boto3 have no other place

        def get_conn(pool: Any, *args: Any, **kwargs: Any) -> Any:
            connection = original(pool, *args, **kwargs)
            if connection.sock is not None and connection.sock not in self._sockets and self._takes(*_end(connection)):
                # it was open before, and would send for real
                connection.close()
            return connection

        yield module.HTTPConnectionPool, "_get_conn", get_conn

    def _connect(self, original: Callable[[Any], None]) -> Any:
        def connect(connection: Any) -> None:
            if not self._takes(*_end(connection)):
                original(connection)
                return
            connection.sock = _HeldSocket(connection, original, self._answer)
            with self._lock:
                self._sockets.add(connection.sock)
            # no warning of a certificate that nothing has checked
            connection.is_verified = True

        return connect

    def release(self) -> None:
        """Leave open connections as they would be without an answer: a pool may use them after the test."""
        # another thread of the test may still connect
        with self._lock:
            held = list(self._sockets)
        for each in held:
            each.release()


def _end(connection: Any) -> tuple[str, int | None]:
    """Return the host and the port; of a tunnel through a proxy, those of its end."""
    tunnel = connection._tunnel_host  # noqa: SLF001 - of http.client, which has no other name for it
    return (tunnel, connection._tunnel_port) if tunnel else (connection.host, connection.port)  # noqa: SLF001


class _HeldSocket:
    """A socket that answers what is written to it, or passes it to a real one."""

    def __init__(self, connection: Any, connect: Callable[[Any], None], answer: Answer) -> None:
        self._connection = connection
        self._connect = connect
        self._answer = answer
        self._written = bytearray()
        self._real: Any = None
        self._ready: socket.socket | None = None
        self._timeout: float | None = None
        self._connect_timeout = connection.timeout

    def sendall(self, data: Any) -> None:
        self._written += data

    def fileno(self) -> int:
        """Return a file that a client can wait for: one that can be read while it expects `100 Continue`."""
        if not expects(self._written):
            return int(self.__getattr__("fileno")())
        if self._ready is None:
            self._ready, other = socket.socketpair()
            other.close()
        return self._ready.fileno()

    def makefile(self, *_: Any, **__: Any) -> Any:
        connection = self._connection
        scheme = "https" if hasattr(connection, "assert_hostname") else "http"
        if expects(self._written):
            return io.BytesIO(b"HTTP/1.1 100 Continue\r\n\r\n")
        written, self._written = self._written, bytearray()
        request = request_of(written, scheme, connection.host)
        if request is None:
            raise ConnectionResetError(104, "Connection reset by peer")
        answer = self._answer(request)
        if isinstance(answer, Passed):
            return self._passing(written, answer)
        reply, onlooker = unwatched(answer.make() if isinstance(answer, Blocking) else answer)
        onlooker.sends("headers")
        if "Timeout" in reply.raises:
            onlooker.waits(self._timeout if reply.raises in WHILE_READING else self._connect_timeout)
        if reply.raises:
            onlooker.closed()
            raise _exception_of(reply, connection)
        return io.BufferedReader(_ReplyBody(reply, onlooker, self._timeout))

    def _passing(self, written: bytearray, passed: Passed) -> Any:
        if self._real is None:
            self._connect(self._connection)
            # the next request on this connection may have an answer here
            self._real, self._connection.sock = self._connection.sock, self
        self._real.settimeout(self._timeout)
        self._real.sendall(written)
        return io.BufferedReader(_SeenBody(self._real.makefile("rb", 0), passed))

    def settimeout(self, seconds: Any) -> None:
        """Keep it for a real socket; of a reply, a fault decides what times out."""
        self._timeout = seconds

    def setsockopt(self, *_: Any) -> None:
        """Ignore it: urllib3 sets the options of a real socket before it connects."""

    def shutdown(self, *how: Any) -> None:
        if self._real is not None:
            self._real.shutdown(*how)

    def close(self) -> None:
        for each in (self._real, self._ready):
            if each is not None:
                each.close()

    def release(self) -> None:
        """Give the connection its real socket back."""
        if self._connection.sock is self:
            self._connection.sock = self._real
            if self._ready is not None:
                self._ready.close()

    def __getattr__(self, name: str) -> Any:
        if self._real is None:
            raise AttributeError(name)
        return getattr(self._real, name)


class _ReplyBody(io.RawIOBase):
    def __init__(self, reply: Reply, onlooker: Onlooker, timeout: float | None) -> None:
        self._reply = reply
        self._onlooker = onlooker
        self._timeout = timeout
        self._left = pieces_of(reply)
        self._sent = 0
        self._held = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._held:
            self._held = next(self._left, b"")
            self._sent += 1
            if self._sent == _BODY:
                self._onlooker.sends("body")
        if not self._held and self._reply.stall_after is not None:
            self._onlooker.waits(self._timeout)
            raise TimeoutError("timed out")
        size = min(len(buffer), len(self._held))
        buffer[:size], self._held = self._held[:size], self._held[size:]
        return size

    def close(self) -> None:
        self._onlooker.closed()
        super().close()


class _SeenBody(io.RawIOBase):
    """A real answer's bytes, which are shown when they are read."""

    def __init__(self, inner: Any, passed: Passed) -> None:
        self._inner = inner
        self._passed = passed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = int(self._inner.readinto(buffer) or 0)
        self._passed.see(bytes(buffer[:size]))
        return size

    def close(self) -> None:
        self._inner.close()
        super().close()


def _exception_of(reply: Reply, connection: Any) -> Exception:
    from socket import gaierror

    from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

    if reply.raises in ("ConnectTimeout", "PoolTimeout"):
        return ConnectTimeoutError(connection, f"Connection to {connection.host} timed out")
    if reply.raises in WHILE_READING:
        return TimeoutError(reply.says)
    if is_tls(reply):
        return ssl.SSLCertVerificationError(1, reply.says)
    if is_dns(reply):
        return NameResolutionError(connection.host, connection, gaierror(-2, "Name or service not known"))
    if reply.raises == "ConnectError":
        return NewConnectionError(connection, f"Failed to establish a new connection: {reply.says}")
    return ConnectionResetError(104, "Connection reset by peer")
