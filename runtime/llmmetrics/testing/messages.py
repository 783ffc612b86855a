"""What goes into the simulated provider and what comes out: values, no behaviour."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

_MODEL_IN_PATH = re.compile(r"/(?:models|deployments)/([^/:]+)")


@dataclass(frozen=True)
class Request:
    """An HTTP request as the provider sees it; header names are lower-case, `path` is without its query."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @cached_property
    def json(self) -> dict[str, Any]:
        """The body as an object; empty where it is none."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def model(self) -> str:
        """The model that is asked for, in the path or in the body."""
        found = _MODEL_IN_PATH.search(self.path)
        return found[1] if found else str(self.json.get("model", "simulated"))

    @property
    def stream(self) -> bool:
        """Whether a stream is asked for; Ollama streams unless told not to."""
        if ":streamGenerateContent" in self.path:
            return True
        return self.json.get("stream", self.path.endswith(("/api/chat", "/api/generate"))) is True


@dataclass(frozen=True, slots=True)
class Answer:
    """A success.

    Token counts are the contract's: `prompt_tokens` holds the cache's, `completion_tokens` the reasoning; each
    provider's own convention is made of them.
    """

    text: str = "Hello from the simulated provider."
    prompt_tokens: int = 12
    completion_tokens: int = 8
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    model: str | None = None
    """The model that answers; the one asked for, where it is not said."""
    usage: bool = True
    """Whether the answer carries its usage."""
    pieces: tuple[str, ...] | None = None
    """A stream's deltas; the words, where they are not said."""

    @property
    def deltas(self) -> tuple[str, ...]:
        return self.pieces or tuple(re.findall(r"\s*\S+|\s+$", self.text)) or ("",)


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to fail, as data: what goes over the wire, and what the contract says it is."""

    name: str
    status: str
    """The value of the label `status` that it must be counted under."""
    error_type: str
    http: int = 200
    retry_after: str | None = None
    delay: float = 0.0
    """Seconds before the headers."""
    reset: bool = False
    """The connection is reset before the headers."""
    cut_after: int | None = None
    """The connection is closed after so many events."""
    stall_after: int | None = None
    """After so many events nothing more comes."""
    malformed: bool = False
    """The JSON breaks off in the middle, in a body that ends properly."""
    in_band: bool = False
    """An error object inside a 200."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer and how it goes over the wire: `chunks` one by one, an event each in a stream."""

    status: int
    headers: tuple[tuple[str, str], ...]
    chunks: tuple[bytes, ...]
    stream: bool = False
    delay: float = 0.0
    reset: bool = False
    cut_after: int | None = None
    stall_after: int | None = None
