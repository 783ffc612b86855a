"""Serves `/metrics` over ASGI and WSGI: both text formats, gzip, never on the event loop."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, MutableMapping
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

from llmmetrics.metrics.multiprocess import MultiProcessCollector
from llmmetrics.metrics.names import COST
from llmmetrics.system.processes import shared

Headers = list[tuple[str, str]]


class MetricsResponse(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: Headers
    body: bytes


def _openmetrics(registry: Any) -> Iterator[Metric]:
    for metric in registry.collect():
        if metric.name == COST:
            # OpenMetrics has no counter without `_total`
            metric.type = "unknown"
        yield metric


def _source(registry: CollectorRegistry, names: list[str] | None) -> Any:
    """Return what to serve: the registry, or in multiprocess mode the files of all workers."""
    if not shared():
        return registry.restricted_registry(names) if names else registry
    collector = MultiProcessCollector(None)
    return SimpleNamespace(collect=lambda: _named(collector.collect(), names)) if names else collector


def _named(metrics: Iterable[Metric], names: Collection[str]) -> Iterator[Metric]:
    for metric in metrics:
        metric.samples = [each for each in metric.samples if each.name in names]
        if metric.samples:
            yield metric


def page(registry: CollectorRegistry, method: str, accept: str, accept_encoding: str, query: str) -> MetricsResponse:
    """Render the registry in the format and encoding that the headers ask for; `name[]` selects families."""
    if method not in ("GET", "HEAD"):
        return MetricsResponse(405, [("Allow", "GET, HEAD")], b"read the metrics with GET\n")
    encoder, content_type = choose_encoder(accept)
    names = parse_qs(query).get("name[]")
    source: Any = _source(registry, names)
    if content_type.startswith("application/openmetrics-text"):
        whole = source
        source = SimpleNamespace(collect=lambda: _openmetrics(whole))
    body = encoder(source)
    headers = [("Content-Type", content_type), ("Vary", "Accept, Accept-Encoding")]
    if _accepts_gzip(accept_encoding):
        body = gzip.compress(body, compresslevel=1)
        headers.append(("Content-Encoding", "gzip"))
    headers.append(("Content-Length", str(len(body))))
    return MetricsResponse(200, headers, b"" if method == "HEAD" else body)


def _accepts_gzip(accept_encoding: str) -> bool:
    for each in accept_encoding.lower().split(","):
        name, _, parameters = each.partition(";")
        if name.strip() in ("gzip", "*"):
            return parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class AsgiApp:
    """An object, not a function: Starlette's `Route` would treat a function as its own kind of endpoint."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise NotImplementedError(f"/metrics is served over HTTP, not {scope['type']}")
        # rendering takes milliseconds per thousand series: not on the event loop
        from anyio import to_thread

        request_headers = {name.decode("latin1").lower(): value.decode("latin1") for name, value in scope["headers"]}
        status, headers, body = await to_thread.run_sync(
            page,
            self._registry,
            scope["method"],
            request_headers.get("accept", ""),
            request_headers.get("accept-encoding", ""),
            scope.get("query_string", b"").decode("latin1"),
        )
        raw = [(name.lower().encode("latin1"), value.encode("latin1")) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


_PHRASES = {200: "200 OK", 405: "405 Method Not Allowed"}


class WsgiApp:
    """Serves a registry over WSGI."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        status, headers, body = page(
            self._registry,
            environ["REQUEST_METHOD"],
            environ.get("HTTP_ACCEPT", ""),
            environ.get("HTTP_ACCEPT_ENCODING", ""),
            environ.get("QUERY_STRING", ""),
        )
        start_response(_PHRASES[status], headers)
        return [body]
