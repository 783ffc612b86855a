"""Serves `/metrics` on a port of its own: a few threads, optionally over TLS and to those with a credential alone."""

from __future__ import annotations

import base64
import errno
import hmac
import socket
import ssl
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from socketserver import ThreadingMixIn
from threading import BoundedSemaphore, Thread
from typing import Any, NamedTuple, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry

from llmmetrics.errors import ConfigError
from llmmetrics.metrics.exposition import WsgiApp

THREADS = 16
"""Requests that are answered at a time. A connection above that is closed at once."""


class Access(NamedTuple):
    """Who may read the metrics, and how. Empty: each client that reaches the port, over HTTP."""

    token: str | None = None
    basic_auth: tuple[str, str] | None = None
    certfile: str | Path | None = None
    keyfile: str | Path | None = None

    def authorizations(self) -> list[bytes]:
        """Return the accepted values of the header Authorization. Raises `ConfigError` for an empty credential."""
        accepted = []
        if self.token is not None:
            accepted.append(f"Bearer {self.token}")
        if self.basic_auth is not None:
            accepted.append(f"Basic {base64.b64encode(':'.join(self.basic_auth).encode()).decode()}")
        if self.token == "" or (self.basic_auth is not None and not self.basic_auth[1]):
            raise ConfigError(
                "start_http_server: the token or the password is empty, so that any client could read the metrics: "
                "give a value, or None to ask for no credential"
            )
        return [each.encode() for each in accepted]

    def context(self) -> ssl.SSLContext | None:
        """Return the context for TLS; None: plain HTTP. Raises `ConfigError` for unusable files."""
        if self.certfile is None:
            if self.keyfile is not None:
                raise ConfigError("start_http_server: a keyfile without a certfile: give both, or none for plain HTTP")
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certfile, self.keyfile)
        except OSError as exc:
            raise ConfigError(
                f"start_http_server: {self.certfile} and {self.keyfile or 'no keyfile'} are no certificate with its "
                f"key ({exc.strerror or exc}): give PEM files that this process can read"
            ) from None
        return context


class _Guarded:
    """Answers 401 to a request without an accepted credential."""

    def __init__(self, app: Callable[..., Iterable[bytes]], accepted: Collection[bytes]) -> None:
        self._app = app
        self._accepted = accepted

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        scheme, _, value = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        sent = f"{scheme.title()} {value.strip()}".encode("latin1", "replace")
        # all of them are compared, each in constant time: the answer's time tells nothing
        if sum(hmac.compare_digest(sent, each) for each in self._accepted):
            return self._app(environ, start_response)
        schemes = sorted({each.partition(b" ")[0].decode() for each in self._accepted})
        body = b"the metrics need a credential\n"
        headers = [("WWW-Authenticate", f'{each} realm="metrics"') for each in schemes]
        start_response("401 Unauthorized", [*headers, ("Content-Length", str(len(body)))])
        return [body]


class _MetricsServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    # a closed connection is not worth a log line
    handle_error = cast("Any", lambda *_: None)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._free = BoundedSemaphore(THREADS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, or close the connection if there are enough."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and free the thread's place."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()


class _MetricsHandler(WSGIRequestHandler):
    timeout = 30

    def log_message(self, format: str, *args: Any) -> None:
        """Log no requests: a scrape comes every few seconds."""


def start_http_server(registry: CollectorRegistry, port: int, addr: str, access: Access) -> tuple[WSGIServer, Thread]:
    """Serve the registry on `addr`:`port` from a daemon thread. Raises `ConfigError` if that is not possible."""
    app: Any = WsgiApp(registry)
    if accepted := access.authorizations():
        app = _Guarded(app, accepted)
    context = access.context()
    try:
        server = make_server(addr, port, app, _MetricsServer, _MetricsHandler)
    except TypeError:
        raise ConfigError(
            f"cannot serve /metrics on address {addr!r}, port {port!r}: the port should be a number, such as 5000, and "
            "the address a string, such as '127.0.0.1'"
        ) from None
    except (OSError, OverflowError) as exc:
        if isinstance(exc, socket.gaierror) or getattr(exc, "errno", None) == errno.EADDRNOTAVAIL:
            advice = "use an address of this machine, such as 127.0.0.1"
        elif isinstance(exc, OverflowError):
            advice = "use a port from 1 to 65535, or 0 for any free port"
        else:
            advice = "choose another port, or stop what listens there (on macOS, AirPlay takes port 5000)"
        raise ConfigError(f"cannot serve /metrics on {addr}:{port} ({exc}): {advice}") from None
    if context is not None:
        # the handshake is the first read's, in the request's own thread and time: a silent client holds up no other
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = Thread(target=server.serve_forever, name="llmmetrics-http", daemon=True)
    thread.start()
    return server, thread
