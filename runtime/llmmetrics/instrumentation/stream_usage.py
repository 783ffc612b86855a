"""`InjectStreamUsage`: the request asks for its stream's usage, and the caller sees the stream it would have had."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any

from llmmetrics.core.call import Call
from llmmetrics.wire.stream_usage import Hider, asking


def to_send(call: Call, request: Any) -> Any:
    """The request to send in the place of this one; the same where there is nothing to ask for."""
    if not call.streamed or not call.format.usage_on_request:
        return request
    try:
        body = asking(call.request_body)
        if body is None:
            return request
        headers = request.headers.copy()
        headers.pop("content-length", None)
        # what comes encoded cannot be looked at on its way
        headers["accept-encoding"] = "identity"
        return type(request)(
            request.method, request.url, headers=headers, content=body, extensions=dict(request.extensions)
        )
    except Exception as exc:
        call.meter.swallow("injection", exc)
        return request


def hide(call: Call, library: Any, request: Any, response: Any) -> None:
    """Have the caller see the answer to the request that it made."""
    try:
        response.request = request
        if response.status_code < 400 and not response.is_closed and "content-encoding" not in response.headers:
            response.stream = _hiding(library)(response.stream)
    except Exception as exc:
        call.meter.swallow("injection", exc)


class _Hiding:
    """A body without what was asked for beside."""

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
    """The class of one family: a client insists on its own family's base classes."""
    return type("HidingStream", (_Hiding, library.SyncByteStream, library.AsyncByteStream), {})
