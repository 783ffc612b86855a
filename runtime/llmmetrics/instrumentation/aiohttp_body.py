"""Follows the body of aiohttp's answer while the caller reads it, or the session receives it."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import cache
from http import HTTPStatus
from typing import Any

from llmmetrics.core.call import Call
from llmmetrics.instrumentation.botocore_body import Around
from llmmetrics.reading.endings import End


class AiohttpAnswer:
    """aiohttp's answer, with the attributes that `send` reads."""

    def __init__(self, made: Any, method: str) -> None:
        self.made = made
        # a redirect may have turned the request into a GET, which is no call
        self.status_code = made.status if made.method.upper() == method else HTTPStatus.SEE_OTHER
        self.headers = made.headers

    @property
    def is_closed(self) -> bool:
        """Whether all of the body is there: read by the session or a recorder, or received with the headers."""
        return self.made._body is not None or self._is_received  # noqa: SLF001

    @property
    def _is_received(self) -> bool:
        stream = self.made.content
        return bool(stream.is_eof()) and stream.exception() is None

    @property
    def content(self) -> bytes:
        body = self.made._body  # noqa: SLF001
        return _waiting(self.made.content) if body is None else body

    @property
    def stream(self) -> Any:
        return self.made

    @stream.setter
    def stream(self, followed: Any) -> None:
        """Ignore the body: the answer itself has it."""


def _waiting(stream: Any) -> bytes:
    """Return what a stream has received and the caller has not read."""
    offset = getattr(stream, "_buffer_offset", 0)
    return b"".join(getattr(stream, "_buffer", ()))[offset:]


def followed(made: Any, call: Call) -> Any:
    """Follow a body that still comes in."""
    # aiohttp decodes what it reads, if the session does not say otherwise
    call.buffer.plain = made._session is None or made._session.auto_decompress  # noqa: SLF001
    reader = made.content = _reader()(made.content, call)
    if (connection := made.connection) is not None:
        connection.add_callback(reader.left)
    return made


def _is_own_close(exception: BaseException) -> bool:
    """Return whether this is what aiohttp raises for reads after the caller has closed the answer."""
    return type(exception).__name__ == "ClientConnectionError" and str(exception) == "Connection closed"


class _Reader(Around):
    """Replaces the stream of an answer, and sees what the caller reads."""

    def __init__(self, inner: Any, call: Call) -> None:
        super().__init__(inner)
        self._call = call
        self._reading = 0
        """How many reads are waiting: they hold bytes that are not seen yet."""
        self._ended = False
        """Whether all was received and seen; the caller may still read it."""

    def left(self) -> None:
        """End the call when its connection is given back or closed: at the end, by an error, or by the caller."""
        exception = self._inner.exception()
        if exception is not None and not _is_own_close(exception):
            self._call.finish(End.RAISED, exception)
        elif not self._reading:
            self._end(End.EXHAUSTED if self._inner.is_eof() else End.CLOSED)

    def _end(self, end: End) -> None:
        """End the call with what was received, whether the caller has read it or not."""
        if self._ended:
            return
        self._ended = True
        try:
            self._call.received(_waiting(self._inner))
        except Exception as exc:
            self._call.meter.swallow("follow", exc)
        self._call.finish(end)

    async def _asked(self, read: Awaitable[bytes]) -> bytes:
        self._reading += 1
        try:
            data = await read
        except Exception as exc:
            # a cancelled read may be tried again: `left` ends the call
            self._call.finish(End.RAISED, exc)
            raise
        finally:
            self._reading -= 1
        return self._passed(data)

    def _passed(self, data: bytes) -> bytes:
        call = self._call
        if self._ended:
            return data
        try:
            if data:
                call.received(data)
        except Exception as exc:
            call.meter.swallow("follow", exc)
        if self._inner.is_eof() and not self._reading:
            self._end(End.EXHAUSTED)
        return data

    async def read(self, n: int = -1) -> bytes:
        if n >= 0:
            return await self._asked(self._inner.read(n))
        # piece by piece, so that what passed before an error is seen
        pieces = []
        while piece := await self.readany():
            pieces.append(piece)
        return b"".join(pieces)

    async def readany(self) -> bytes:
        return await self._asked(self._inner.readany())

    async def readexactly(self, n: int) -> bytes:
        return await self._asked(self._inner.readexactly(n))

    async def readline(self, **options: Any) -> bytes:
        return await self._asked(self._inner.readline(**options))

    async def readuntil(self, separator: bytes = b"\n", **options: Any) -> bytes:
        return await self._asked(self._inner.readuntil(separator, **options))

    async def readchunk(self) -> tuple[bytes, bool]:
        ended: list[bool] = []

        async def read() -> bytes:
            data, end = await self._inner.readchunk()
            ended.append(end)
            return data  # type: ignore[no-any-return]

        return await self._asked(read()), ended[0]

    def read_nowait(self, n: int = -1) -> bytes:
        return self._passed(self._inner.read_nowait(n))


@cache
def _reader() -> type[_Reader]:
    """Make the class of streams, with aiohttp's own iterators over its methods."""
    from aiohttp import StreamReader

    names = ("__aiter__", "iter_chunked", "iter_any", "iter_chunks")
    return type("MeteredReader", (_Reader,), {name: getattr(StreamReader, name) for name in names})
