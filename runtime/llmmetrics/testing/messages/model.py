"""Requests, answers and faults of the simulated provider: values without behaviour."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from llmmetrics import wire
from llmmetrics.pricing.worst_case import most_output
from llmmetrics.reading import sockets
from llmmetrics.testing.messages.conversation import conversation
from llmmetrics.wire import SOCKET


@dataclass(frozen=True)
class Request:
    """An HTTP request as the provider sees it; header names are lower-case, `path` is without its query."""

    method: str
    """`WEBSOCKET` for a message that asks for a response on a WebSocket."""
    path: str
    query: str = field(default="", repr=False)
    """It may hold a key, like the headers: the repr shows neither."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = b""
    host: str = ""
    scheme: str = "https"

    @cached_property
    def json(self) -> dict[str, Any]:
        """The body as an object, or the text fields of a form; empty if it is neither."""
        return dict(wire.asked_fields(self.body))

    @cached_property
    def place(self) -> str:
        """Host and path as a wire format compares them: without a port, percent-decoded."""
        return self.host.partition(":")[0] + unquote(self.path)

    @cached_property
    def claim(self) -> wire.Claim | None:
        """The wire format, and the values in its path; None if it is not an LLM call."""
        if self.method == SOCKET:
            return sockets.claim("", self.place)
        return wire.claim(self.method, "", self.place, wire.ANY)

    @property
    def model(self) -> str:
        """The requested model, from the path or the body."""
        if self.claim is None:
            return str(self.json.get("model", "simulated"))
        return self.claim.model or wire.model_of(self.claim.format, self.json) or "simulated"

    @property
    def stream(self) -> bool:
        """Whether a stream is requested: some formats have a separate path for it; Ollama streams by default."""
        if self.claim is None:
            return False
        format = self.claim.format
        if "stream" in format.path.groupindex:
            return self.claim.stream
        return self.json.get("stream", format.always_streams) in (True, "true")

    @property
    def messages(self) -> list[dict[str, str]]:
        """The conversation as `role` and `content` texts, the system's first, for any format."""
        return conversation(self.json, wire.prompt_names(self.claim.format if self.claim else None))

    @property
    def max_tokens(self) -> int | None:
        """The requested output limit in tokens, under any provider's name."""
        return most_output(self.claim.format, self.json) if self.claim else None


@dataclass(frozen=True)
class ToolCall:
    """A tool that the model calls instead of answering with text."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer.

    Token counts follow the contract: `prompt_tokens` includes those of the cache, `completion_tokens` includes
    reasoning; each provider's own convention is computed from them.
    """

    text: str = "Hello from the simulated provider."
    prompt_tokens: int = 12
    completion_tokens: int = 8
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    model: str | None = None
    """The model that answers; by default the requested one."""
    usage: bool = True
    """Whether the answer carries its usage."""
    pieces: tuple[str, ...] | None = None
    """A stream's deltas; by default the words of the text."""
    tool: ToolCall | None = None
    """The tool call instead of the text; only without streaming."""

    @property
    def deltas(self) -> tuple[str, ...]:
        return self.pieces or tuple(re.findall(r"\s*\S+|\s+$", self.text)) or ("",)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault as data: the bytes on the wire, and the contract's status and error type."""

    name: str
    status: str
    """The expected value of the label `status`."""
    error_type: str | None
    http: int = 200
    retry_after: str | None = None
    delay: float = 0.0
    """Seconds before the headers."""
    reset: bool = False
    """The connection is reset before the headers."""
    cut_after: int | None = None
    """Close the connection after this number of events."""
    stall_after: int | None = None
    """Send nothing more after this number of events."""
    malformed: bool = False
    """Cut the JSON in the middle, but end the body properly."""
    in_band: bool = False
    """An error object inside a 200."""
    instead: tuple[str, bytes] | None = None
    """A content type and a body that replace the provider's own."""
    changes: tuple[tuple[str, Any], ...] = ()
    """Fields of the `Answer` that the fault changes."""
    raises: str = ""
    """httpcore's exception for it, if no answer comes."""
    says: str = ""
    """The exception's text."""

    @property
    def on_the_wire(self) -> bool:
        """Whether a server can show it; other faults happen before there is a connection."""
        return not self.raises or self.reset or self.delay > 0

    @property
    def over_websocket(self) -> bool:
        """Whether a WebSocket can show it: its messages are whole, and its clients have no timeout of their own."""
        waits = self.stall_after is not None or "Timeout" in self.raises
        return not (waits or self.malformed or self.instead)


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer and its `chunks`, which are sent one by one; in a stream each is an event."""

    status: int
    headers: tuple[tuple[str, str], ...]
    chunks: tuple[bytes, ...]
    stream: bool = False
    delay: float = 0.0
    reset: bool = False
    cut_after: int | None = None
    stall_after: int | None = None
    raises: str = ""
    says: str = ""

    @property
    def passing(self) -> tuple[bytes, ...]:
        """The part of the body before it is cut: a number of events of a stream, else half of the body."""
        end = self.cut_after if self.cut_after is not None else self.stall_after
        if end is None:
            return self.chunks
        return self.chunks[:end] if self.stream else tuple(chunk[: len(chunk) // 2] for chunk in self.chunks)
