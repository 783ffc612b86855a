"""The usage of a stream that its caller has not asked for: how to ask for it, and what to hide of the answer.

OpenAI-compatible hosts say it in one more chunk, without choices, where `stream_options.include_usage` is true;
every other chunk then has a `usage` of null: https://platform.openai.com/docs/api-reference/chat/create.
"""

from __future__ import annotations

import json
import re

from llmmetrics.wire.format import mapping
from llmmetrics.wire.frames import parse

LONGEST = 64 * 1024
"""An event that is longer is no chunk of these formats: it passes as it is."""

_BOUNDARY = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_DATA = re.compile(rb"^data:(.*?)\r?$", re.MULTILINE)
# inside a string of JSON the quotation marks would be escaped
_NULL = re.compile(rb',\s*"usage"\s*:\s*null|"usage"\s*:\s*null\s*,')


def asking(body: bytes) -> bytes | None:
    """The request that asks for it as well; None where this one asks by itself, or is none that could."""
    try:
        # the standard library's reader: what it takes, its writer gives back
        fields = json.loads(body)
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    options = mapping(fields.get("stream_options"))
    if options.get("include_usage") is True:
        return None
    return json.dumps({**fields, "stream_options": {**options, "include_usage": True}}).encode()


class Hider:
    """Takes a stream as it comes, in any chunks, and gives it as it would be without usage: whole events at a time."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """What may pass of the stream so far, and has not yet."""
        held = self._held + chunk
        passed, start = [], 0
        for boundary in _BOUNDARY.finditer(held):
            passed.append(_without_usage(held[start : boundary.end()]))
            start = boundary.end()
        self._held = held[start:]
        if len(self._held) > LONGEST:
            passed.append(self.rest())
        return b"".join(passed)

    def rest(self) -> bytes:
        """What is left of it at its end."""
        held, self._held = self._held, b""
        return held


def _without_usage(event: bytes) -> bytes:
    if b'"usage"' not in event:
        return event
    chunk = parse(b"\n".join(_DATA.findall(event)))
    if isinstance(chunk, dict) and chunk.get("choices") == [] and isinstance(chunk.get("usage"), dict):
        return b""
    return _NULL.sub(b"", event)
