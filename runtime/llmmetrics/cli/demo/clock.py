"""The demo's clock, and the loopback port on which a test moves it: `POST /advance?seconds=3600`, `GET /now`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, make_server

from llmmetrics.errors import ConfigError
from llmmetrics.system.clock import SystemClock

FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""The range in which the clock may be moved."""


class MovedClock(SystemClock):
    """The machine's clock plus an offset. Durations stay real."""

    by = timedelta()

    def now(self) -> datetime:
        return super().now() + self.by

    def advance(self, seconds: float) -> None:
        """Move the clock by seconds, forward or back. Raises `ValueError` or `OverflowError` for a bad number."""
        by = self.by + timedelta(seconds=seconds)
        if not FIRST < super().now() + by < LAST:
            raise ValueError
        self.by = by


class _App:
    """Answers requests to the port with the demo's time."""

    def __init__(self, clock: MovedClock) -> None:
        self._clock = clock

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        status, text = self._answer(environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("QUERY_STRING", ""))
        body = f"{text}\n".encode()
        start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    def _answer(self, method: str, path: str, query: str) -> tuple[str, str]:
        if (method, path) not in (("GET", "/now"), ("POST", "/advance")):
            return "404 Not Found", "use GET /now or POST /advance?seconds=3600"
        if method == "POST":
            try:
                (seconds,) = parse_qs(query, strict_parsing=True)["seconds"]
                self._clock.advance(float(seconds))
            except (ValueError, KeyError, OverflowError):
                return "400 Bad Request", "give seconds as one number, as in /advance?seconds=3600"
        return "200 OK", self._clock.now().isoformat()


class _ClockHandler(WSGIRequestHandler):
    timeout = 30

    def log_message(self, format: str, *args: Any) -> None:
        """Log no requests: a test makes many."""


@contextmanager
def served(clock: MovedClock, port: int) -> Iterator[str]:
    """Serve the clock; yield its URL. Port 0 takes a free port. Raises `ConfigError` if the port is taken."""
    try:
        server = make_server("127.0.0.1", port, _App(clock), handler_class=_ClockHandler)
    except (OSError, OverflowError) as exc:
        raise ConfigError(f"cannot serve the clock on 127.0.0.1:{port} ({exc}): choose another --clock-port") from None
    thread = Thread(target=server.serve_forever, name="llmmetrics-clock", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
