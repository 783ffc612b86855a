"""Meters one request: claims it, begins a call, and follows the answer to its end.

Transports, `instrument` and botocore's sessions call it; they are the doors. One implementation serves both families
of httpx, sync and async, and adapters with the same attributes.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from typing import Any

from llmmetrics.core.call import Call
from llmmetrics.core.engine import Engine
from llmmetrics.core.fetch import Passage, UnknownRequest, Upload
from llmmetrics.core.routes import Place
from llmmetrics.core.series import MOST_ROUTES
from llmmetrics.errors import BudgetExceeded
from llmmetrics.instrumentation import refusal, stream_usage, upload
from llmmetrics.reading.endings import End
from llmmetrics.wire.framing.body_buffer import HELD
from llmmetrics.wire.framing.headers import NAME, lower_names, lower_pairs
from llmmetrics.wire.framing.multipart import without_uploads

FAMILIES = ("httpx2", "httpx")
"""The HTTP libraries' modules, the newer one first."""

_CLAIM = "llmmetrics"
"""The request extension with which the first door claims an attempt, so that it counts once."""

claimed: ContextVar[Any] = ContextVar("llmmetrics_claimed", default=None)
"""The URL of the request that a door is sending in this context. The doors below it (`AdaptedRequest.passes`) pass the
request on, and its connections are metered ones (`unmetered`)."""

_REFUSABLE = (Call, UnknownRequest)
"""What a budget may refuse. A tuple: a union would be made at every call."""

_claim: Callable[[Any], object] | None = None
"""Sets `claimed`, once something reads it: setting a context variable is slow."""


def read_claims() -> None:
    """Have the doors claim the URLs that they send to, from now on."""
    global _claim  # noqa: PLW0603 - the doors are the process'
    _claim = claimed.set


_places: dict[tuple[str, Any, str | None], Place] = {}
"""Places by method, httpx's parts of the URL, and backend: making one asks four properties of the URL."""


def send(
    meter: Engine, backend: str | None, request: Any, stream: Callable[[Any, Any], Any], onward: Callable[[Any], Any]
) -> Any:
    """Meter one attempt: `onward` sends the request, and a `stream` follows the answer's body."""
    extensions = request.extensions
    if _CLAIM in extensions:
        return onward(request)
    sent, call = request, _begin(meter, backend, request)
    if call is None:
        return _uncounted(request, onward)
    limited = call.series.limited or call.gated
    if limited and isinstance(call, _REFUSABLE) and (exceeded := meter.admit(call)):
        return _refuse(meter, call, request, exceeded)
    # before it is copied for a change: the copy is claimed too
    extensions[_CLAIM] = True
    if _claim is not None:
        _claim(request.url)
    if call.edits:
        sent = _to_send(call, request)
    try:
        response = onward(sent)
    except BaseException as exc:
        call.finish(End.RAISED, exc)
        raise
    finally:
        # the same request may be sent again, as another attempt
        extensions.pop(_CLAIM, None)
        if _claim is not None:
            _claim(None)
        if call.edits:
            upload.unwatch(request)
    _follow(call, response, stream)
    if sent is not request and isinstance(call, Call):
        stream_usage.hide(call, library_of(request, "Request"), request, response)
    return response


async def asend(
    meter: Engine,
    backend: str | None,
    request: Any,
    stream: Callable[[Any, Call], Any],
    onward: Callable[[Any], Awaitable[Any]],
) -> Any:
    """Meter one attempt of an async client, as `send` does."""
    extensions = request.extensions
    if _CLAIM in extensions:
        return await onward(request)
    sent, call = request, _begin(meter, backend, request)
    if call is None:
        return await _auncounted(request, onward)
    call.asynchronous = True
    limited = call.series.limited or call.gated
    if limited and isinstance(call, _REFUSABLE) and (exceeded := await meter.aadmit(call)):
        return _refuse(meter, call, request, exceeded)
    # before it is copied for a change: the copy is claimed too
    extensions[_CLAIM] = True
    if _claim is not None:
        _claim(request.url)
    if call.edits:
        sent = _to_send(call, request)
    try:
        response = await onward(sent)
    except BaseException as exc:
        call.finish(End.RAISED, exc)
        raise
    finally:
        extensions.pop(_CLAIM, None)
        if _claim is not None:
            _claim(None)
        if call.edits:
            upload.unwatch(request)
    _follow(call, response, stream)
    if sent is not request and isinstance(call, Call):
        stream_usage.hide(call, library_of(request, "Request"), request, response)
    return response


@contextmanager
def _claiming(request: Any) -> Iterator[None]:
    """Claim a request that is not counted, so that no door below it counts it."""
    request.extensions[_CLAIM] = True
    if _claim is not None:
        _claim(request.url)
    try:
        yield
    finally:
        request.extensions.pop(_CLAIM, None)
        if _claim is not None:
            _claim(None)


def _uncounted(request: Any, onward: Callable[[Any], Any]) -> Any:
    with _claiming(request):
        return onward(request)


async def _auncounted(request: Any, onward: Callable[[Any], Awaitable[Any]]) -> Any:
    with _claiming(request):
        return await onward(request)


def _to_send(call: Call | Passage, request: Any) -> Any:
    """Return the request to send: with a request for stream usage if set; the body of an upload is read on its way."""
    if isinstance(call, Call):
        return stream_usage.to_send(call, request)
    if isinstance(call, Upload):
        upload.watch(call, library_of(request, "Request"), request)
    return request


def _begin(meter: Engine, backend: str | None, request: Any) -> Call | Passage | None:
    try:
        # httpx's own fields: its properties make the same of them, and each is a call. An adapter's has no content
        body = request._content  # noqa: SLF001
        parts = None if body is None else request.url._uri_reference  # noqa: SLF001
    except AttributeError:
        parts = body = None
    place = _places.get((request.method, parts, backend)) or _place(request, parts, backend)
    if body is None:
        body = _content(request)
    call = meter.begin(place, body)
    if call is None:
        return None
    headers = request.headers
    held = getattr(headers, "_list", None)
    if not _COUNTING.isdisjoint(lower_names(headers) if held is None else map(NAME, held)):
        call.retry = _is_retry(headers)
    # nearly every body is JSON
    if body[:1] != b"{" and isinstance(call, Call) and (not body or body.startswith(b"--")):
        call.uploading = _length(request.headers)
    return call


def _place(request: Any, parts: Any, backend: str | None) -> Place:
    """Return where a request goes, and keep it by the parts of its URL if there are such."""
    url = request.url
    place = (request.method, url.scheme, url.host, url.port, url.raw_path, backend)
    if parts is not None:
        if len(_places) > MOST_ROUTES:
            _places.clear()
        _places[request.method, parts, backend] = place
    return place


def _content(request: Any) -> bytes:
    """Return the body of a request: a followed redirect has only the stream of the first request.

    A stream in general cannot be read twice: of a form, all but its uploads is known, of others nothing.
    """
    with suppress(Exception):
        return request.content  # type: ignore[no-any-return]
    stream = getattr(request, "stream", None)
    library = library_of(request, "Request")
    if library is not None and isinstance(stream, library.ByteStream):
        return b"".join(stream)
    return without_uploads(stream)


def _length(headers: Any) -> int:
    """Return the size of a request in bytes; a very large one if its headers do not say it."""
    said = headers.get("content-length", "")
    return int(said) if said.isdecimal() else _UNKNOWN_LENGTH


_UNKNOWN_LENGTH = 1 << 30
"""More than the uploads that providers take: https://platform.openai.com/docs/api-reference/audio says 25 MB."""

_FIRST = {b"x-stainless-retry-count": b"0", b"amz-sdk-request": b"attempt=1"}
"""The header with which an SDK counts its attempts, and what it says of the first.

openai, anthropic, groq and other SDKs generated by Stainless count from 0, AWS from 1:
https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html.
"""

_COUNTING = frozenset(_FIRST)


def _is_retry(headers: Any) -> bool:
    """Return whether the SDK's headers say that this attempt is a retry."""
    # not `any`: a generator takes longer, and every call of openai's comes here
    for name, value in lower_pairs(headers):  # noqa: SIM110
        if name in _FIRST and _FIRST[name] not in value.split(b"; "):
            return True
    return False


def _refuse(meter: Engine, call: Call | Passage, request: Any, exceeded: BudgetExceeded) -> Any:
    """Make the answer to a refused call. Nothing was sent, so no request is counted."""
    call.discard()
    how = meter.settings.budget.on_budget_exceeded
    # an adapter's request makes its own answers
    library = request if hasattr(request, "Response") else library_of(request, "Request")
    return refusal.answer(how, library, request, call.format, exceeded)


def library_of(thing: object, *names: str) -> Any:
    """Return the module, httpx or httpx2, whose class of one of these names `thing` is an instance of; or None.

    Compares classes, not names: openai renames the modules of some classes.
    """
    for library in map(sys.modules.get, FAMILIES):
        if any(isinstance(thing, getattr(library, name, ())) for name in names):
            return library
    return None


def _follow(call: Call | Passage, response: Any, stream: Callable[[Any, Any], Any]) -> None:
    """Follow the answer to its end: through its stream, or at once if a mock has already read it.

    A response that does not have its library's attributes is not counted.
    """
    try:
        status = response.status_code
        if 300 <= status < 400:
            call.discard()
            return
        call.http_status = status
        call.buffer.headers = response.headers
        if response.is_closed:
            call.buffer.plain = True
            call.received(response.content)
            call.finish(End.EXHAUSTED)
            return
        response.stream = stream(response.stream, call)
    except Exception as exc:
        call.discard()
        call.meter.swallow("follow", exc)


class _Stream:
    """A body that is followed while the caller reads it."""

    def __init__(self, inner: Any, call: Call | Passage) -> None:
        self._inner = inner
        self._call = call

    def __iter__(self) -> Iterator[bytes]:
        call = self._call
        append, size, limit = call.buffer.chunks.append, 0, 0 if call.streamed else HELD
        try:
            for chunk in self._inner:
                append(chunk)
                size += len(chunk)
                if size > limit:
                    # the first bytes of a stream, or more than is kept
                    size, limit = call.grown(size), HELD
                yield chunk
        except GeneratorExit:
            # closing the iterator does not close the answer: close() or the garbage collector ends the call
            raise
        except BaseException as exc:
            call.finish(End.RAISED, exc)
            raise
        call.finish(End.EXHAUSTED)

    def close(self) -> None:
        if self._call.open:
            self._call.finish(End.CLOSED)
        self._inner.close()


class _AsyncStream:
    """An async body that is followed while the caller reads it."""

    def __init__(self, inner: Any, call: Call | Passage) -> None:
        self._inner = inner
        self._call = call

    async def __aiter__(self) -> AsyncIterator[bytes]:
        call = self._call
        append, size, limit = call.buffer.chunks.append, 0, 0 if call.streamed else HELD
        try:
            async for chunk in self._inner:
                append(chunk)
                size += len(chunk)
                if size > limit:
                    size, limit = call.grown(size), HELD
                yield chunk
        except GeneratorExit:
            raise
        except BaseException as exc:
            call.finish(End.RAISED, exc)
            raise
        call.finish(End.EXHAUSTED)

    async def aclose(self) -> None:
        if self._call.open:
            self._call.finish(End.CLOSED)
        await self._inner.aclose()


@cache
def streams(library: Any) -> tuple[type[Any], type[Any]]:
    """Make the sync and the async stream class of one family: a client needs its own family's base classes."""
    return (
        type("MeteredStream", (_Stream, library.SyncByteStream), {}),
        type("AsyncMeteredStream", (_AsyncStream, library.AsyncByteStream), {}),
    )
