"""What every shape is made of."""

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
    """A Server-Sent Event."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(doc)}\n\n".encode()


def line(doc: Doc) -> bytes:
    """A document on a line of its own."""
    return json.dumps(doc).encode() + b"\n"


def _error_event(_: Request, refusal: Refusal) -> bytes:
    return sse(refusal.body, "error")


class Shape(NamedTuple):
    """One wire format of the simulated provider, or what one maker's models say in it."""

    id: str
    """The runtime's format, which says which requests it is for."""
    errors: ProviderErrors
    """How the provider reports its errors."""
    body: Callable[[Request, Answer], Doc]
    events: Callable[[Request, Answer], Iterator[bytes]] | None = None
    content_type: str = "text/event-stream"
    failed: Callable[[Request, Refusal], bytes] = _error_event
    """How a stream ends that fails in the middle."""
    within: ProviderErrors | None = None
    """How another provider reports the error that breaks off its stream; None: the same provider."""
    headers: Callable[[Request, Answer], Headers] = lambda _request, _answer: ()
    """What of an answer stands in the headers."""
    path: re.Pattern[str] = re.compile("")
    """Searched in host and path, where a format has several answers: the first shape that it is found for answers."""


def model(request: Request, answer: Answer) -> str:
    """The model that answers."""
    return answer.model or request.model


def with_usage(doc: Doc, answer: Answer, name: str, usage: Doc) -> Doc:
    """The document with its usage, unless the answer is to carry none."""
    return {**doc, name: usage} if answer.usage else doc


VECTOR = [0.25, -0.5]
"""Every embedding: a float32 can hold it."""


def inputs(request: Request, *names: str) -> list[Any]:
    """What is to be embedded, ranked or predicted: the list under one of these names, or one thing."""
    given = next((request.json[name] for name in names if name in request.json), "")
    return given if isinstance(given, list) else [given]
