"""`InjectStreamUsage`: adds a request for the stream's usage, and hides the additional event from the caller."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any

from llmmetrics.core.call import Call
from llmmetrics.reading.stream_usage import Hider, asking


def to_send(call: Call, request: Any) -> Any:
    """Return the request to send: a copy that asks for usage, or the same one if nothing is to change."""
    if not (call.streamed and call.format.usage_on_request and getattr(request, "injectable", True)):
        return request
    try:
        body = asking(call.request_body)
        if body is None:
            return request
        headers = request.headers.copy()
        headers.pop("content-length", None)
        # an encoded answer cannot be edited while it passes
        headers["accept-encoding"] = "identity"
        return type(request)(
            request.method, request.url, headers=headers, content=body, extensions=dict(request.extensions)
        )
    except Exception as exc:
        call.meter.swallow("injection", exc)
        return request


def hide(call: Call, library: Any, request: Any, response: Any) -> None:
    """Hide from the caller what its own request did not ask for."""
    try:
        response.request = request
        if response.status_code < 400 and not response.is_closed and "content-encoding" not in response.headers:
            response.stream = _hiding(library)(response.stream)
    except Exception as exc:
        call.meter.swallow("injection", exc)


class _Hiding:
    """A body without the additional usage event."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[bytes]:
        hider = Hider()
        for chunk in self._inner:
            if passed := hider.feed(chunk):
                yield passed
        if rest := hider.rest():
            yield rest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        hider = Hider()
        async for chunk in self._inner:
            if passed := hider.feed(chunk):
                yield passed
        if rest := hider.rest():
            yield rest

    def close(self) -> None:
        self._inner.close()

    async def aclose(self) -> None:
        await self._inner.aclose()


@cache
def _hiding(library: Any) -> type[Any]:
    """Make the class of one family: a client needs its own family's base classes."""
    return type("HidingStream", (_Hiding, library.SyncByteStream, library.AsyncByteStream), {})
