"""Splits a recorded body into a stream's events again, and ends it with an exception.

vcrpy joins the chunks of a stream into one body, but code that reads a stream must be tested with a stream.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import cache
from typing import Any

from pytest_llmmetrics.cassettes.aws_messages import CONTENT_TYPE, messages_of

_EVENT = re.compile(rb".*?(?:\r\n\r\n|\n\n|\r\r|\Z)", re.DOTALL)
_LINE = re.compile(rb".*?(?:\n|\Z)", re.DOTALL)
_BOUNDARIES = {
    "text/event-stream": _EVENT,
    "application/x-ndjson": _LINE,
    "application/ndjson": _LINE,
    "application/jsonl": _LINE,
    "application/stream+json": _LINE,
}


def split(content_type: str, body: bytes) -> list[bytes]:
    """Split a body into chunks: Server-Sent Events by event, JSON streams by line, event streams of AWS by message.

    Other bodies are one chunk.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == CONTENT_TYPE and (messages := messages_of(body)):
        return list(map(bytes, messages))
    boundary = _BOUNDARIES.get(kind)
    if boundary is None:
        return [body] if body else []
    return [piece for piece in boundary.findall(body) if piece]


class _Events:
    def __init__(self, chunks: Sequence[bytes], broken: Callable[[], BaseException] | None) -> None:
        self._chunks = chunks
        self._broken = broken

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks
        if self._broken:
            raise self._broken()


class _AsyncEvents:
    def __init__(self, chunks: Sequence[bytes], broken: Callable[[], BaseException] | None) -> None:
        self._events = _Events(chunks, broken)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._events:
            yield chunk


@cache
def kinds(library: Any) -> tuple[type[Any], type[Any]]:
    """Return the sync and the async body class of a library: its clients require its own base classes."""
    return (
        type("Events", (_Events, library.SyncByteStream), {}),
        type("AsyncEvents", (_AsyncEvents, library.AsyncByteStream), {}),
    )
