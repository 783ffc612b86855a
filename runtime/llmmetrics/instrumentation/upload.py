"""Reads the body of an upload while the client sends it: nothing is held, and the client's bytes stay as they are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from typing import Any

from llmmetrics.core.fetch import Upload


class _Watched:
    """A request's body that is read by us, too. A body is sent from its start each time that it is iterated."""

    def __init__(self, inner: Any, begin: Callable[[], Callable[[bytes], None]], upload: Upload) -> None:
        self.inner = inner
        self._begin = begin
        self._upload = upload

    def _feed(self, feed: Callable[[bytes], None], chunk: bytes) -> None:
        try:
            feed(chunk)
        except Exception as exc:
            self._upload.discard()
            self._upload.meter.swallow("upload", exc)

    def __iter__(self) -> Iterator[bytes]:
        feed = self._begin()
        for chunk in self.inner:
            self._feed(feed, chunk)
            yield chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        feed = self._begin()
        async for chunk in self.inner:
            self._feed(feed, chunk)
            yield chunk

    def close(self) -> None:
        self.inner.close()

    async def aclose(self) -> None:
        await self.inner.aclose()


@cache
def _class(library: Any) -> type[Any]:
    """Make the class for one family: a client wants its own family's base classes."""
    return type("WatchedStream", (_Watched, library.SyncByteStream, library.AsyncByteStream), {})


def watch(upload: Upload, library: Any, request: Any) -> None:
    """Read the body of a request while it is sent. `library` is httpx or httpx2; another one's bodies are not read."""
    if library is not None:
        kind = request.headers.get("content-type", "")
        request.stream = _class(library)(request.stream, lambda: upload.begin(kind), upload)


def unwatch(request: Any) -> None:
    """Give a request its own body back: it may be sent again."""
    stream = getattr(request, "stream", None)
    if isinstance(stream, _Watched):
        request.stream = stream.inner
