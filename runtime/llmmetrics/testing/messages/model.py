"""What goes into the simulated provider and what comes out: values, no behaviour."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from llmmetrics import wire
from llmmetrics.pricing.worst_case import most_output
from llmmetrics.testing.messages.conversation import conversation


@dataclass(frozen=True)
class Request:
    """An HTTP request as the provider sees it; header names are lower-case, `path` is without its query."""

    method: str
    path: str
    query: str = field(default="", repr=False)
    """It may hold a key, like the headers: neither is in the repr."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = b""
    host: str = ""

    @cached_property
    def json(self) -> dict[str, Any]:
        """The body as an object; empty where it is none."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @cached_property
    def place(self) -> str:
        """Host and path as a wire format looks at them: without a port, percent-encoding undone."""
        return self.host.partition(":")[0] + unquote(self.path)

    @cached_property
    def claim(self) -> wire.Claim | None:
        """The wire format that it speaks, and what its path says; None for what is no call."""
        return wire.claim(self.method, "", self.place)

    @property
    def model(self) -> str:
        """The model that is asked for, in the path or in the body."""
        named = self.claim.model if self.claim else None
        return named or str(self.json.get("model") or self.json.get("model_id", "simulated"))

    @property
    def stream(self) -> bool:
        """Whether a stream is asked for: some formats have a path of its own for it; Ollama's unless told not to."""
        if self.claim is None:
            return False
        format = self.claim.format
        if "stream" in format.path.groupindex:
            return self.claim.stream
        return self.json.get("stream", format.always_streams) is True

    @property
    def messages(self) -> list[dict[str, str]]:
        """The conversation as `role` and `content` in text, the system's words first, whatever the format."""
        return conversation(self.json)

    @property
    def max_tokens(self) -> int | None:
        """The bound on the output that is asked for, in any provider's spelling."""
        return most_output(self.claim.format, self.json) if self.claim else None


@dataclass(frozen=True)
class ToolCall:
    """A tool that the model asks for instead of saying something."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


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
    tool: ToolCall | None = None
    """The tool that is asked for, instead of the text; in a whole answer, not in a stream."""

    @property
    def deltas(self) -> tuple[str, ...]:
        return self.pieces or tuple(re.findall(r"\s*\S+|\s+$", self.text)) or ("",)


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to fail, as data: what goes over the wire, and what the contract says it is."""

    name: str
    status: str
    """The value of the label `status` that it must be counted under."""
    error_type: str | None
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
    instead: tuple[str, bytes] | None = None
    """A content type and a body in the place of the provider's own."""
    changes: tuple[tuple[str, Any], ...] = ()
    """Fields of the `Answer` that it spoils."""
    raises: str = ""
    """httpcore's exception for it, where no answer comes at all."""
    says: str = ""
    """That exception's text."""

    @property
    def on_the_wire(self) -> bool:
        """Whether a server can do it; the rest happens before there is a connection."""
        return not self.raises or self.reset or self.delay > 0


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
    raises: str = ""
    says: str = ""

    @property
    def passing(self) -> tuple[bytes, ...]:
        """What comes of the body before it breaks off: so many events of a stream, half of anything else."""
        end = self.cut_after if self.cut_after is not None else self.stall_after
        if end is None:
            return self.chunks
        return self.chunks[:end] if self.stream else tuple(chunk[: len(chunk) // 2] for chunk in self.chunks)
