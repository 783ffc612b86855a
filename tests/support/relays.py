"""Forwards TCP connections, and delays or drops what a test says: all of it, or what a Redis replica reads."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from threading import Thread
from types import TracebackType
from typing import Self

REPLICATION = (b"PSYNC", b"psync")


class Relay:
    """A port of its own that leads to `target`; running connections stay where they are when that changes.

    `delay` is added to each piece of an answer, in seconds; `replica_delay` to what goes to a replica; `cut` ends new
    and running connections.
    """

    def __init__(self, target: int = 0) -> None:
        self.target = target
        self.delay = 0.0
        self.replica_delay = 0.0
        self.cut = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()

    def __enter__(self) -> Self:
        Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()

    def drop(self) -> None:
        """End every connection."""
        for each in [*self._open]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                Thread(target=self._forward, args=(near,), daemon=True).start()

    def _forward(self, near: socket.socket) -> None:
        kind = {"replica": False}
        with near:
            if self.cut:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target), 5)
            except OSError:
                return
            with far:
                far.settimeout(None)
                for each in (near, far):
                    # else the system waits 40 ms for more
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open |= {near, far}
                back = Thread(target=self._answers, args=(far, near, kind), daemon=True)
                back.start()
                with suppress(OSError):
                    while (data := near.recv(65536)) and not self.cut:
                        kind["replica"] |= any(word in data for word in REPLICATION)
                        far.sendall(data)
                for each in (near, far):
                    with suppress(OSError):
                        each.shutdown(socket.SHUT_RDWR)
                back.join()
                self._open -= {near, far}

    def _answers(self, far: socket.socket, near: socket.socket, kind: dict[str, bool]) -> None:
        with suppress(OSError):
            while (data := far.recv(65536)) and not self.cut:
                delay = self.replica_delay if kind["replica"] else self.delay
                if delay:
                    time.sleep(delay)
                near.sendall(data)
        for each in (near, far):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
