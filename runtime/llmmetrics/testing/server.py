"""The simulated provider on a loopback port: real HTTP/1.1, with everything that can go wrong on a wire."""

from __future__ import annotations

import socket
import struct
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Self

from llmmetrics.testing.messages import Answer, Fault, Reply, Request
from llmmetrics.testing.simulator import ANSWER, reply


class LoopbackProvider:
    """A running simulated provider. `script` says what it answers next, `requests` what it was asked."""

    def __init__(self, default: Answer | Fault, host: str, port: int) -> None:
        self.default = default
        self.requests: list[Request] = []
        self.closing = Event()
        self._lock = Lock()
        self._steps: dict[str, deque[Answer | Fault]] = {}
        self._connections: set[socket.socket] = set()
        self._server = _Server((host, port), _Handler)
        self._server.provider = self
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), name="llmmetrics-provider", daemon=True)
        self._thread.start()
        address = self._server.server_address
        self.url = f"http://{address[0]!s}:{address[1]}"

    def script(self, *steps: Answer | Fault, path: str = "") -> None:
        """Queue answers and faults, each for one request whose path starts with `path`."""
        with self._lock:
            self._steps.setdefault(path, deque()).extend(steps)

    def answer(self, request: Request) -> Reply:
        """The reply to the next request."""
        with self._lock:
            self.requests.append(request)
            longest = sorted((path for path in self._steps if request.path.startswith(path)), key=len, reverse=True)
            steps = next((self._steps[path] for path in longest if self._steps[path]), None)
            step = steps.popleft() if steps and request.method == "POST" else self.default
        return reply(request, step, self.default if isinstance(self.default, Answer) else ANSWER)

    def opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.add(connection)

    def closed(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.discard(connection)

    def close(self) -> None:
        """Stop at once: delays and stalls are interrupted, connections are closed."""
        self.closing.set()
        self._server.shutdown()
        with self._lock:
            open_now = list(self._connections)
        for connection in open_now:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._server.server_close()
        self._thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(default: Answer | Fault = ANSWER, *, host: str = "127.0.0.1", port: int = 0) -> LoopbackProvider:
    """Start a simulated provider; it runs until it is closed, as a context manager too. Port 0 takes a free one."""
    return LoopbackProvider(default, host, port)


class _Server(ThreadingHTTPServer):
    provider: LoopbackProvider
    # closing waits for the handlers, which `LoopbackProvider.close` has woken
    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what half of the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.provider.opened(self.connection)

    def finish(self) -> None:
        self.server.provider.closed(self.connection)
        super().finish()

    def do_POST(self) -> None:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        self._send(self.server.provider.answer(Request(self.command, path, query, headers, body)))

    do_GET = do_DELETE = do_PUT = do_POST  # noqa: N815 - http.server's names

    def _send(self, made: Reply) -> None:
        closing = self.server.provider.closing
        if made.delay and closing.wait(made.delay):
            self.close_connection = True
            return
        if made.reset:
            # lingering for no time makes close() send a reset
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._hang_up()
            return
        self.send_response(made.status)
        for name, value in made.headers:
            self.send_header(name, value)
        if made.stream:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("content-length", str(sum(map(len, made.chunks))))
        self.end_headers()
        self._send_body(made)

    def _send_body(self, made: Reply) -> None:
        for n, chunk in enumerate(made.chunks):
            if made.cut_after == n or (made.cut_after is not None and not made.stream):
                if not made.stream:
                    self.wfile.write(chunk[: len(chunk) // 2])
                self._hang_up()
                return
            if made.stall_after == n or (made.stall_after is not None and not made.stream):
                self.server.provider.closing.wait()
                self.close_connection = True
                return
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if made.stream else chunk)
        if made.stream:
            self.wfile.write(b"0\r\n\r\n")

    def _hang_up(self) -> None:
        self.close_connection = True
        self.server.provider.closed(self.connection)
        self.wfile.flush()
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """The tests say what happened."""
