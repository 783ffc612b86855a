"""Splits a recorded body into a stream's events again, and ends it with an exception.

vcrpy joins the chunks of a stream into one body, but code that reads a stream must be tested with a stream.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import cache
from typing import Any

from llmmetrics.testing import Reply
from pytest_llmmetrics.cassettes.aws_messages import CONTENT_TYPE, messages_of
from pytest_llmmetrics.cassettes.files import Breakdown, Interaction

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


def reply_of(interaction: Interaction) -> Reply:
    """Return a recorded answer as a reply, with its fault."""
    response, fault = interaction.response, interaction.fault
    headers = tuple((name, value) for name, values in response["headers"].items() for value in _listed(values))
    named = {name.lower(): value for name, value in headers}
    text = response["body"].get("string") or b""
    body = text.encode() if isinstance(text, str) else text
    chunks = tuple(split("" if "content-encoding" in named else named.get("content-type", ""), body))
    ended = {} if fault is None else _ending(fault, len(chunks))
    is_stream = len(chunks) > 1 or "cut_after" in ended or "stall_after" in ended
    return Reply(int(response["status"]["code"]), headers, chunks, is_stream, **ended)


def _listed(values: Any) -> list[str]:
    return [str(each) for each in values] if isinstance(values, list) else [str(values)]


def _ending(fault: Breakdown, events: int) -> dict[str, Any]:
    if fault.when == "headers":
        return {"raises": fault.raises, "says": fault.says}
    return {"stall_after" if fault.raises == "ReadTimeout" else "cut_after": events}


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
