"""Reads a program's `/metrics` as a scraper does: both formats, and the first again."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from llmmetrics.errors import ConfigError, LlmMetricsError
from llmmetrics.testing.contract.exposition import Page, parse
from llmmetrics.testing.contract.finding import Scrapes

CLASSIC = "text/plain;version=0.0.4"
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
"""Nearly the Accept header of a default Prometheus."""

SECONDS = 10.0
"""Seconds to wait for a page, as Prometheus does."""

LARGEST = 2**26
"""Maximum size of a page, in bytes."""

_TYPES = {"text/plain": False, "application/openmetrics-text": True}


class ScrapeError(LlmMetricsError):
    """The answer of this address is not a page of metrics."""


class UnreachableError(LlmMetricsError):
    """The address does not answer."""


def _nothing() -> None:
    """Do nothing between two scrapes: the default."""


def scrapes(source: CollectorRegistry | str, between: Callable[[], object] = _nothing) -> Scrapes:
    """Scrape a registry or a URL three times; `between` is called after the first.

    Raises `ConfigError` for a bad URL, `UnreachableError` and `ScrapeError`.
    """
    read = partial(_rendered, source) if isinstance(source, CollectorRegistry) else partial(fetched, address(source))
    first = read(CLASSIC)
    between()
    return Scrapes(first, read(OPENMETRICS), read(CLASSIC))


def address(url: str) -> SplitResult:
    """Split the URL of a `/metrics`. Raises `ConfigError`."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and url.isprintable()
    except ValueError:
        usable = None
    if not usable or " " in url:
        raise ConfigError("this is not a URL: give the full URL, as in http://127.0.0.1:5000/metrics")
    if parts.username is not None or parts.password is not None:
        raise ConfigError("the URL contains a user or a password: give one without, on a port that needs no login")
    return parts


def _rendered(registry: CollectorRegistry, accept: str) -> Page:
    # an application may serve prometheus-client's own exposition
    encoder, kind = choose_encoder(accept)
    return parse(encoder(registry), openmetrics=kind.startswith("application/openmetrics-text"))


class _ScrapeAnswer(NamedTuple):
    status: int
    kind: str
    encoding: str
    body: bytes


def fetched(url: SplitResult, accept: str = CLASSIC) -> Page:
    """Scrape an `address` once. Raises `UnreachableError` and `ScrapeError`."""
    shown = f"{url.scheme}://{url.netloc}{url.path}"
    try:
        answer = _get(url, accept)
    except ConnectionRefusedError:
        raise UnreachableError(f"{shown} does not answer: start the application, or correct the address") from None
    except (OSError, HTTPException, ValueError) as exc:
        reason = str(exc) or type(exc).__name__
        raise UnreachableError(f"{shown} cannot be read ({reason}): correct the address, or try again") from None
    if 300 <= answer.status < 400:
        raise ScrapeError(f"{shown} redirects: serve the metrics at this path, with a route instead of a mount")
    if answer.status != 200:
        raise ScrapeError(f"{shown} answers HTTP {answer.status}, not with metrics: correct the address or the route")
    kind = answer.kind.partition(";")[0].strip().lower()
    if kind not in _TYPES:
        raise ScrapeError(
            f"{shown} has the type {kind or '(none)'}, so it is not a page of metrics: correct the address, or "
            "answer with the Content-Type text/plain; version=0.0.4"
        )
    return parse(_decoded(answer, shown), openmetrics=_TYPES[kind])


def _decoded(answer: _ScrapeAnswer, shown: str) -> bytes:
    if not answer.encoding:
        return answer.body
    if answer.encoding == "gzip":
        unzip = zlib.decompressobj(31)
        try:
            return unzip.decompress(answer.body, LARGEST)
        except zlib.error:
            raise ScrapeError(
                f"{shown} declares gzip, but the content is not gzip: correct or remove Content-Encoding"
            ) from None
    raise ScrapeError(
        f"{shown} is encoded as {answer.encoding}, which the request does not accept: serve it without encoding"
    )


def _get(url: SplitResult, accept: str) -> _ScrapeAnswer:
    # not urllib: it would use a proxy from the environment
    kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
    connection = kind(str(url.hostname), url.port, timeout=SECONDS)
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    try:
        connection.request("GET", path, headers={"Accept": accept})
        response = connection.getresponse()
        encoding = (response.getheader("Content-Encoding") or "").strip().lower()
        return _ScrapeAnswer(response.status, response.getheader("Content-Type") or "", encoding, _body(response))
    finally:
        connection.close()


def _body(response: HTTPResponse) -> bytes:
    deadline = time.monotonic() + SECONDS
    body = bytearray()
    while chunk := response.read1(2**20):
        body += chunk
        if len(body) > LARGEST:
            raise ValueError(f"larger than {LARGEST >> 20} MiB")
        if time.monotonic() > deadline:
            raise TimeoutError(f"it took longer than {SECONDS:g} s")
    return bytes(body)
