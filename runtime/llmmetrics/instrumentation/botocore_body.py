"""Follows botocore's body, an open urllib3 response, while the caller reads it.

The caller may read it as any file: in pieces, by lines, into a buffer, as a stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self, TypeVar

from llmmetrics.core.call import Call
from llmmetrics.reading.endings import End

T = TypeVar("T")


class Around:
    """Replaces an object, and forwards all other attributes to it."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        if name == "_inner":
            # a copy that is being made has no inner object yet
            raise AttributeError(name)
        return getattr(self._inner, name)


class Followed(Around):
    """Replaces urllib3's body, and sees every byte that is read from it."""

    def __init__(self, inner: Any, call: Call, length: str | None) -> None:
        super().__init__(inner)
        self._call = call
        self._size = 0
        self._length = int(length) if length and length.isdecimal() else None

    def passed(self, chunk: bytes) -> None:
        """Record the bytes that the caller gets."""
        if chunk:
            try:
                self._size += len(chunk)
                self._call.received(chunk)
            except Exception as exc:
                self._call.meter.swallow("follow", exc)

    def ended(self) -> None:
        """Note the end of the body. botocore makes urllib3 accept a body that is too short."""
        if self._length is None or self._size >= self._length:
            self._call.finish(End.EXHAUSTED)
            return
        from botocore.exceptions import IncompleteReadError

        cut = IncompleteReadError(actual_bytes=self._size, expected_bytes=self._length)
        self._call.finish(End.RAISED, cut)

    def _asked(self, read: Callable[..., T], *args: Any, **options: Any) -> T:
        try:
            return read(*args, **options)
        except BaseException as exc:
            self._call.finish(End.RAISED, exc)
            raise

    def _got(self, data: bytes, *, last: bool) -> bytes:
        self.passed(data)
        if last or self._size == self._length:
            self.ended()
        return data

    def read(self, amt: int | None = None, **options: Any) -> bytes:
        data = self._asked(self._inner.read, amt, **options)
        return self._got(data, last=amt is None or amt < 0 or (not data and amt > 0))

    def read1(self, amt: int | None = None, **options: Any) -> bytes:
        data = self._asked(self._inner.read1, amt, **options)
        return self._got(data, last=not data and amt != 0)

    def readline(self, size: int = -1) -> bytes:
        data = self._asked(self._inner.readline, size)
        return self._got(data, last=not data and size != 0)

    def readlines(self, hint: int = -1) -> list[bytes]:
        lines: list[bytes] = self._asked(self._inner.readlines, hint)
        self._got(b"".join(lines), last=not lines or not hint or hint < 0)
        return lines

    def readinto(self, buffer: bytearray | memoryview) -> int:
        size: int = self._asked(self._inner.readinto, buffer)
        self._got(bytes(memoryview(buffer)[:size]), last=not size and len(buffer) > 0)
        return size

    def stream(self, *args: Any, **options: Any) -> Iterator[bytes]:
        return self._through(self._inner.stream(*args, **options))

    def read_chunked(self, *args: Any, **options: Any) -> Iterator[bytes]:
        return self._through(self._inner.read_chunked(*args, **options))

    def __iter__(self) -> Iterator[bytes]:
        return self._through(self._inner)

    def __next__(self) -> bytes:
        if line := self.readline():
            return line
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _through(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        try:
            for chunk in chunks:
                self.passed(chunk)
                yield chunk
        except GeneratorExit:
            # closing the iterator does not close the answer: close() or the garbage collector ends the call
            raise
        except BaseException as exc:
            self._call.finish(End.RAISED, exc)
            raise
        self.ended()

    def close(self) -> None:
        self._call.finish(End.CLOSED)
        self._inner.close()
