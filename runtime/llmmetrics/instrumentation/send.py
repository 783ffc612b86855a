"""One request on its way through a door of ours: claimed, begun, and followed to its end.

Transports, `instrument` and botocore's sessions are such doors. One implementation serves both families of httpx, sync
and async, and whatever is made to look like them.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import cache
from typing import Any

from llmmetrics.core.call import Call
from llmmetrics.core.engine import Engine
from llmmetrics.errors import BudgetExceeded
from llmmetrics.instrumentation import refusal, stream_usage
from llmmetrics.reading.endings import End
from llmmetrics.wire.body_buffer import TAIL

FAMILIES = ("httpx2", "httpx")
"""The modules of the HTTP libraries, the newer one first."""

_CLAIM = "llmmetrics"
"""The request extension by which the first door that sees an attempt keeps the others from counting it too."""


def send(
    meter: Engine, backend: str | None, request: Any, stream: Callable[[Any, Call], Any], onward: Callable[[Any], Any]
) -> Any:
    """Meter one attempt: `onward` sends the request, and its answer's body is followed by a `stream`."""
    if _CLAIM in request.extensions:
        return onward(request)
    call = _begin(meter, backend, request)
    if call is not None and call.series.limited and (exceeded := meter.admit(call)):
        return _refuse(meter, call, request, exceeded)
    sent = _claim(call, request)
    try:
        response = onward(sent)
    except BaseException as exc:
        _failed(call, exc)
        raise
    finally:
        # the same request may be sent again: that is another attempt
        request.extensions.pop(_CLAIM, None)
    return _answered(call, request, sent, response, stream)


async def asend(
    meter: Engine, backend: str | None, request: Any, stream: type[Any], onward: Callable[[Any], Awaitable[Any]]
) -> Any:
    """Meter one attempt of an async client, as `send` does."""
    if _CLAIM in request.extensions:
        return await onward(request)
    call = _begin(meter, backend, request)
    if call is not None and call.series.limited and (exceeded := await meter.aadmit(call)):
        return _refuse(meter, call, request, exceeded)
    sent = _claim(call, request)
    try:
        response = await onward(sent)
    except BaseException as exc:
        _failed(call, exc)
        raise
    finally:
        request.extensions.pop(_CLAIM, None)
    return _answered(call, request, sent, response, stream)


def _claim(call: Call | None, request: Any) -> Any:
    """Claim a request, and return the one to send in its place: with stream usage asked for, if set."""
    request.extensions[_CLAIM] = True
    return stream_usage.to_send(call, request) if call is not None and call.series.injects else request


def _failed(call: Call | None, exception: BaseException) -> None:
    if call is not None:
        call.finish(End.RAISED, exception)


def _answered(call: Call | None, request: Any, sent: Any, response: Any, stream: Callable[[Any, Call], Any]) -> Any:
    """Follow the body of an answer, and return the answer."""
    if call is not None:
        _follow(call, response, stream)
        if sent is not request:
            stream_usage.hide(call, library_of(request, "Request"), request, response)
    return response


def _begin(meter: Engine, backend: str | None, request: Any) -> Call | None:
    url = request.url
    try:
        body = request.content
    except Exception:
        # a body that is streamed up cannot be read twice: its model is unknown
        body = b""
    call = meter.begin((request.method, url.scheme, url.host, url.port, url.raw_path, backend), body)
    if call is not None:
        call.retry = _is_retry(request.headers)
    return call


def _is_retry(headers: Mapping[str, str]) -> bool:
    """Whether an SDK says that it has made this attempt before.

    openai, anthropic, groq and whatever else Stainless has generated count from 0, AWS from 1:
    https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html.
    """
    said = headers.get("x-stainless-retry-count")
    if said is None:
        said = headers.get("amz-sdk-request", "attempt=1").partition(";")[0].removeprefix("attempt=")
        return said != "1"
    return said != "0"


def _refuse(meter: Engine, call: Call, request: Any, exceeded: BudgetExceeded) -> Any:
    """The answer to a call that has spent its budget: nothing was sent, and it is no request."""
    call.discard()
    how = meter.settings.budget.on_budget_exceeded
    # a request that is not httpx's own makes its answers itself
    library = request if hasattr(request, "Response") else library_of(request, "Request")
    return refusal.answer(how, library, request, call.format, exceeded)


def library_of(thing: object, *names: str) -> Any:
    """The module, httpx or httpx2, that has a class of one of these names of which this is an instance, or None.

    By identity: openai renames the modules of some.
    """
    for library in map(sys.modules.get, FAMILIES):
        if any(isinstance(thing, getattr(library, name, ())) for name in names):
            return library
    return None


def _follow(call: Call, response: Any, stream: Callable[[Any, Call], Any]) -> None:
    """Follow the answer to its end: through its stream, or at once where a mock has read it already.

    A response that is not what its library says is let go, uncounted.
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
            call.buffer.feed(response.content)
            call.finish(End.EXHAUSTED)
            return
        response.stream = stream(response.stream, call)
    except Exception as exc:
        call.discard()
        call.meter.swallow("follow", exc)


class _Stream:
    """A body that is followed on its way to the caller."""

    def __init__(self, inner: Any, call: Call) -> None:
        self._inner = inner
        self._call = call

    def __iter__(self) -> Iterator[bytes]:
        call, buffer = self._call, self._call.buffer
        append, size, streamed = buffer.chunks.append, 0, call.streamed
        try:
            for chunk in self._inner:
                if streamed and not size:
                    call.first_chunk()
                append(chunk)
                size += len(chunk)
                if size > TAIL:
                    size = buffer.trim(size)
                yield chunk
        except GeneratorExit:
            # closing the iterator is not closing the answer: close() or the collector will tell
            raise
        except BaseException as exc:
            call.finish(End.RAISED, exc)
            raise
        call.finish(End.EXHAUSTED)

    def close(self) -> None:
        self._call.finish(End.CLOSED)
        self._inner.close()


class _AsyncStream:
    """The same for an async body."""

    def __init__(self, inner: Any, call: Call) -> None:
        self._inner = inner
        self._call = call

    async def __aiter__(self) -> AsyncIterator[bytes]:
        call, buffer = self._call, self._call.buffer
        append, size, streamed = buffer.chunks.append, 0, call.streamed
        try:
            async for chunk in self._inner:
                if streamed and not size:
                    call.first_chunk()
                append(chunk)
                size += len(chunk)
                if size > TAIL:
                    size = buffer.trim(size)
                yield chunk
        except GeneratorExit:
            raise
        except BaseException as exc:
            call.finish(End.RAISED, exc)
            raise
        call.finish(End.EXHAUSTED)

    async def aclose(self) -> None:
        self._call.finish(End.CLOSED)
        await self._inner.aclose()


@cache
def streams(library: Any) -> tuple[type[Any], type[Any]]:
    """The sync and the async stream of one family: a client insists on its own family's base classes."""
    return (
        type("MeteredStream", (_Stream, library.SyncByteStream), {}),
        type("AsyncMeteredStream", (_AsyncStream, library.AsyncByteStream), {}),
    )
