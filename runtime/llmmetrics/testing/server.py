"""The simulated provider on a loopback port: real HTTP/1.1, with every fault of a connection."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Self

from llmmetrics.testing.faults import CannotExpressError
from llmmetrics.testing.jobs import Jobs
from llmmetrics.testing.messages.model import Answer, Fault, Reply, Request
from llmmetrics.testing.simulator import ANSWER, reply


class LoopbackProvider:
    """A running simulated provider. `script` sets the next answers, `requests` lists the requests it got."""

    def __init__(
        self, default: Answer | Fault, host: str, port: int, answering: Callable[[Request], Reply] | None
    ) -> None:
        self.default = default
        self._answering = answering
        self.requests: list[Request] = []
        self.closing = Event()
        self._lock = Lock()
        self._jobs = Jobs()
        self._steps: dict[str, deque[Answer | Fault]] = {}
        try:
            self._server = _ProviderServer((host, port), self)
        except OSError as exc:
            raise OSError(exc.errno, f"cannot serve on {host}:{port}: {exc.strerror}") from exc
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), name="llmmetrics-provider", daemon=True)
        self._thread.start()
        address = self._server.server_address
        self.url = f"http://{address[0]!s}:{address[1]}"

    def script(self, *steps: Answer | Fault, path: str = "") -> None:
        """Queue answers and faults, each for one request whose path starts with `path`."""
        if silent := next((each for each in steps if isinstance(each, Fault) and not each.on_the_wire), None):
            raise CannotExpressError(
                f"a server cannot show the fault {silent.name!r}: it happens before there is a connection"
            )
        with self._lock:
            self._steps.setdefault(path, deque()).extend(steps)

    def answer(self, request: Request) -> Reply:
        """Return the reply to the next request."""
        if self._answering:
            return self._answering(request)
        with self._lock:
            self.requests.append(request)
        if (fetched := self._jobs.fetch(request)) is not None:
            return fetched
        with self._lock:
            longest = sorted((path for path in self._steps if request.path.startswith(path)), key=len, reverse=True)
            steps = next((self._steps[path] for path in longest if self._steps[path]), None)
            step = steps.popleft() if steps and request.method == "POST" else self.default
        spoilt = self.default if isinstance(self.default, Answer) else ANSWER
        return self._jobs.defer(request, reply(request, step, spoilt), lambda each: reply(each, step, spoilt))

    def close(self) -> None:
        """Stop at once: interrupt delays and stalls, close connections."""
        self.closing.set()
        self._server.shutdown()
        handlers = list(self._server.handlers.items())
        for connection, _ in handlers:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()
        for thread in (self._thread, *(thread for _, thread in handlers)):
            thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(
    default: Answer | Fault = ANSWER,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    answering: Callable[[Request], Reply] | None = None,
) -> LoopbackProvider:
    """Start a simulated provider; it runs until it is closed, also as a context manager. Port 0 takes a free port.

    `answering` returns the replies instead of the script. Raises `OSError` if the port is taken.
    """
    return LoopbackProvider(default, host, port, answering)


class _ProviderServer(ThreadingTCPServer):
    # based on socketserver, because http.server looks its own name up in the DNS;
    # on Windows, reuse would share a port that is taken
    allow_reuse_address = os.name != "nt"
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], provider: LoopbackProvider) -> None:
        self.provider = provider
        self.handlers: dict[Any, Thread] = {}
        super().__init__(address, _ProviderHandler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Handle a connection on a thread that is registered for `close` before it runs.

        It is a daemon thread: a provider that is not closed does not keep the interpreter alive.
        """
        thread = Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        self.handlers[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.handlers.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that closes its connection, as many tests do; report all other errors."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _ProviderHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _ProviderServer

    def do_POST(self) -> None:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, path, query, headers, self._body(headers), headers.get("host", ""), "http")
        self._send(self.server.provider.answer(request))

    do_GET = do_DELETE = do_PUT = do_POST  # noqa: N815 - http.server's names

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(headers.get("content-length", 0)))
        parts = []
        while size := int(self.rfile.readline().partition(b";")[0] or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        # trailers, up to the blank line
        while self.rfile.readline().strip():
            continue
        return b"".join(parts)

    def _send(self, answer: Reply) -> None:
        closing = self.server.provider.closing
        if answer.delay and closing.wait(answer.delay):
            self.close_connection = True
            return
        if answer.reset:
            # a linger time of 0 makes close() send a reset
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._hang_up()
            return
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.stream:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("content-length", str(sum(map(len, answer.chunks))))
        self.end_headers()
        self._send_body(answer)

    def _send_body(self, answer: Reply) -> None:
        for chunk in answer.passing:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if answer.stream else chunk)
        if answer.cut_after is not None:
            self._hang_up()
        elif answer.stall_after is not None:
            self.server.provider.closing.wait()
            self.close_connection = True
        elif answer.stream:
            self.wfile.write(b"0\r\n\r\n")

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """Log no requests: the tests report them."""
