"""A peer for `websockets`: a server of the same library, at the other end of a pair of sockets.

The client does its own handshake with it, over no network and without TLS, and raises its own exceptions. It needs
websockets 17 for blocking clients, and websockets 13 for those of asyncio.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from inspect import signature
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any, Protocol


class Peer(Protocol):
    """The server's part of a WebSocket. It runs in a thread of its own."""

    def accept(self, connection: Any, request: Any) -> Any:
        """Return a response that rejects the handshake, or None."""

    def talk(self, connection: Any) -> None:
        """Receive and send messages. A connection that is closed ends it with `ConnectionClosed`."""


Find = Callable[[str], Peer | None]
"""Return the peer for this address; None: the client connects to it."""

_NORMAL, _INTERNAL = 1000, 1011

MODULES = ("websockets.asyncio.client", "websockets.sync.client")


class Peers:
    """The peers of one test."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._threads: list[Thread] = []
        self._sockets: list[socket.socket] = []

    def socket_for(self, address: str) -> PeerSocket | None:
        """Start a peer for this address, and return the client's end of the connection to it."""
        peer = self._find(address)
        if peer is None:
            return None
        ours, theirs = socket.socketpair()
        self._sockets.append(theirs)
        thread = Thread(target=_serve, args=(peer, theirs), name="llmmetrics-peer", daemon=True)
        self._threads.append(thread)
        thread.start()
        return PeerSocket(fileno=ours.detach())

    def close(self) -> None:
        """Close what is still open, and wait for the threads."""
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)


class PeerSocket(socket.socket):
    """The client's end: it has no TLS."""


def _serve(peer: Peer, theirs: socket.socket) -> None:
    from websockets.exceptions import ConnectionClosed, InvalidHandshake
    from websockets.server import ServerProtocol
    from websockets.sync.server import ServerConnection

    takes = signature(ServerConnection).parameters
    # from version 17 on, it is asked whether it still accepts connections
    server = [SimpleNamespace(socket_closed=Event())] if "server" in takes else []
    # from version 15 on
    quiet = {"ping_interval": None} if "ping_interval" in takes else {}
    make: Callable[..., ServerConnection] = ServerConnection
    connection = make(theirs, ServerProtocol(max_size=None), *server, close_timeout=1, **quiet)
    code = _INTERNAL
    try:
        with suppress(ConnectionClosed, InvalidHandshake, EOFError, OSError):
            connection.handshake(peer.accept, timeout=60)
            if connection.response is not None and connection.response.status_code == 101:
                peer.talk(connection)
        code = _NORMAL
    finally:
        # a client that waits must see the end, also of a peer that has failed
        connection.close(code)
        connection.recv_events_thread.join(5)


def patches(module: Any, peers: Peers) -> Iterator[tuple[type[Any], str, Any]]:
    """Yield the methods to replace, with the new ones."""
    if module.__name__ == MODULES[0]:
        # the name of before version 17
        name = "open_tcp_connection" if hasattr(module.connect, "open_tcp_connection") else "create_connection"
        yield module.connect, name, _opening(getattr(module.connect, name), peers)
    elif hasattr(module, "reconnect"):
        yield module.reconnect, "open_socket", _opening_blocking(module.reconnect.open_socket, peers)
        yield module.reconnect, "enable_tls", _without_tls(module.reconnect.enable_tls)


def _opening(original: Any, peers: Peers) -> Any:
    async def open_connection(self: Any) -> Any:
        pair = peers.socket_for(self.uri)
        if pair is None:
            return await original(self)
        from websockets.uri import parse_uri

        make = getattr(self, "factory", None) or self.protocol_factory
        loop = asyncio.get_running_loop()
        is_unix = pair.family == getattr(socket, "AF_UNIX", None)
        create = loop.create_unix_connection if is_unix else loop.create_connection
        _, connection = await create(lambda: make(parse_uri(self.uri)), sock=pair)
        return connection

    return open_connection


def _opening_blocking(original: Any, peers: Peers) -> Any:
    def open_socket(self: Any, deadline: Any) -> Any:
        return peers.socket_for(self.uri) or original(self, deadline)

    return open_socket


def _without_tls(original: Any) -> Any:
    def enable_tls(self: Any, sock: Any, deadline: Any) -> Any:
        return sock if isinstance(sock, PeerSocket) else original(self, sock, deadline)

    return enable_tls


@contextmanager
def running(find: Find) -> Iterator[Peers]:
    """Yield the peers of a test; close them at its end."""
    peers = Peers(find)
    try:
        yield peers
    finally:
        peers.close()
