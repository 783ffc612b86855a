"""What every shape is made of."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from llmmetrics.testing.messages import Answer, Request

Doc = dict[str, Any]

CREATED = 1_767_225_600
"""2026-01-01T00:00:00Z, in seconds: ids and times are fixed, so that an answer is a function of its request."""


class Shape(NamedTuple):
    """One wire format of the simulated provider."""

    path: re.Pattern[str]
    vendor: str
    body: Callable[[Request, Answer], Doc]
    events: Callable[[Request, Answer], Iterator[bytes]] | None = None
    content_type: str = "text/event-stream"


def model(request: Request, answer: Answer) -> str:
    """The model that answers."""
    return answer.model or request.model


def sse(doc: Doc, event: str | None = None) -> bytes:
    """A Server-Sent Event."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(doc)}\n\n".encode()


def with_usage(doc: Doc, answer: Answer, name: str, usage: Doc) -> Doc:
    """The document with its usage, unless the answer is to carry none."""
    return {**doc, name: usage} if answer.usage else doc
