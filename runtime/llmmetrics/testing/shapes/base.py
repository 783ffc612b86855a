"""`Shape`: how the simulated provider answers in one wire format, with helpers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from llmmetrics.testing.messages.model import Answer, Request
from llmmetrics.testing.messages.provider_errors import Headers, ProviderErrors, Refusal

Doc = dict[str, Any]

CREATED = 1_767_225_600
"""2026-01-01T00:00:00Z, in seconds: ids and times are fixed, so that an answer is a function of its request."""


def sse(doc: Doc, event: str | None = None) -> bytes:
    """Return a Server-Sent Event."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(doc)}\n\n".encode()


def line(doc: Doc) -> bytes:
    """Return a document on a line of its own."""
    return json.dumps(doc).encode() + b"\n"


def _error_event(_: Request, refusal: Refusal) -> bytes:
    return sse(refusal.body, "error")


class Shape(NamedTuple):
    """How the simulated provider answers in one wire format, or how one maker's models do."""

    id: str
    """The id of the `Format` whose requests it answers."""
    errors: ProviderErrors
    """How the provider reports its errors."""
    body: Callable[[Request, Answer], Doc]
    events: Callable[[Request, Answer], Iterator[bytes]] | None = None
    content_type: str = "text/event-stream"
    failed: Callable[[Request, Refusal], bytes] = _error_event
    """Return the end of a stream that fails in the middle."""
    within: ProviderErrors | None = None
    """How another provider reports the error that breaks off its stream; None: the same provider."""
    headers: Callable[[Request, Answer], Headers] = lambda _request, _answer: ()
    """Return the headers of an answer."""
    path: re.Pattern[str] = re.compile("")
    """Searched in host and path, if a format has several shapes: the first that matches answers."""


def model(request: Request, answer: Answer) -> str:
    """Return the model that answers."""
    return answer.model or request.model


def with_usage(doc: Doc, answer: Answer, name: str, usage: Doc) -> Doc:
    """Return the document with its usage, or without it if the answer carries none."""
    return {**doc, name: usage} if answer.usage else doc


VECTOR = [0.25, -0.5]
"""Every embedding: a float32 can hold it."""


def inputs(request: Request, *names: str) -> list[Any]:
    """Return the inputs to embed, rank or predict: the list under the first of these names, or its one value."""
    value = next((request.json[name] for name in names if name in request.json), "")
    return value if isinstance(value, list) else [value]
