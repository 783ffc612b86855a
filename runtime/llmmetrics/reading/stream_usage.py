"""Asks for a stream's usage if its caller did not, and hides the usage from the caller.

OpenAI-compatible hosts send it in one more chunk, without choices, where `stream_options.include_usage` is true;
every other chunk then has a `usage` of null: https://platform.openai.com/docs/api-reference/chat/create.
"""

from __future__ import annotations

import json
import re

from llmmetrics.wire.format import mapping
from llmmetrics.wire.framing.frames import parse

LONGEST = 64 * 1024
"""Bytes of an event. A longer one is not a chunk of these formats, and is passed on unchanged."""

_BOUNDARY = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_DATA = re.compile(rb"^data:(.*?)\r?$", re.MULTILINE)
# inside a string of JSON the quotation marks would be escaped
_NULL = re.compile(rb',\s*"usage"\s*:\s*null|"usage"\s*:\s*null\s*,')


def asking(body: bytes) -> bytes | None:
    """Return the body of a request that asks for usage; None if it asks already, or is not a JSON object."""
    try:
        # the standard library's reader: its writer gives back what it has read
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    options = mapping(fields.get("stream_options"))
    if options.get("include_usage") is True:
        return None
    return json.dumps({**fields, "stream_options": {**options, "include_usage": True}}).encode()


class Hider:
    """Removes the usage from a stream that comes in any chunks; passes on whole events."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, chunk: bytes) -> bytes:
        """Return the whole events so far that were not returned yet."""
        held = self._held
        # what was held has no whole boundary
        unseen = max(len(held) - 3, 0)
        held += chunk
        events, start = [], 0
        for end in [boundary.end() for boundary in _BOUNDARY.finditer(held, unseen)]:
            events.append(_without_usage(bytes(held[start:end])))
            start = end
        del held[:start]
        if len(held) > LONGEST:
            events.append(self.rest())
        return b"".join(events)

    def rest(self) -> bytes:
        """Return what is left at the end of the stream."""
        held, self._held = self._held, bytearray()
        return bytes(held)


def _without_usage(event: bytes) -> bytes:
    if b'"usage"' not in event:
        return event
    chunk = parse(b"\n".join(_DATA.findall(event)))
    if isinstance(chunk, dict) and chunk.get("choices") == [] and isinstance(chunk.get("usage"), dict):
        return b""
    return _NULL.sub(b"", event)
