"""Fast path: finds the fields that matter in usual streams and in long JSON answers, without reading all of them."""

from typing import Any

from pydantic_core import from_json

from llmmetrics.reading.endings import End
from llmmetrics.reading.exchange import wanted_fields
from llmmetrics.wire.format import Format
from llmmetrics.wire.framing.body_buffer import TAIL, BodyBuffer
from llmmetrics.wire.framing.frames import DONE, Doc, is_ndjson, last_members, last_value, parse

_EVENT, _DONE = b"\n\ndata: {", b"\n\ndata: [DONE]\n\n"


def usual_body(format: Format, buffer: BodyBuffer, end: End) -> Doc | None:
    """Return the fields of a stream's last event, or of a long JSON object; None of another body.

    Raises `ValueError` for what is not JSON.
    """
    if buffer.chunks and buffer.chunks[-1].endswith(b"[DONE]\n\n"):
        return _usual_stream(format, buffer)
    return _long_object(format, buffer) if buffer.trimmed and end is End.EXHAUSTED else None


def _usual_stream(format: Format, buffer: BodyBuffer) -> Doc | None:
    """Return what a usual stream says in its last event before `[DONE]`; None if an earlier one may say more."""
    if not format.ended(DONE):
        return None
    text = buffer.joined()
    last = text.rfind(_EVENT, 0, -len(_DONE))
    if last < 0 or not text.endswith(_DONE) or text.rfind(b"error") >= 0:
        return None
    part = format.part(from_json(text[last + len(_EVENT) - 1 : -len(_DONE)]))
    fields = {name: value for name in format.fields if (value := part.get(name)) is not None}
    return fields if fields.keys() >= wanted_fields(tuple(format.fields)) else None


def _long_object(format: Format, buffer: BodyBuffer) -> dict[str, Any] | None:
    """Return the fields of a long JSON object, whose usage stands at its end; None if it may be another body."""
    if format.short_at_ends and (text := buffer.without_middle()):
        body = parse(text)
        if type(body) is dict and "model" in body and "usage" in body:
            return body
    ends = buffer.ends()
    if ends is None or is_ndjson(ends[0]):
        return None
    head, tail = ends
    start = max(len(tail) - TAIL, 0)
    fields = last_members(tail, format.fields[0], start)
    if fields is not None:
        for name in format.fields[1:-1]:
            if name not in fields:
                value = last_value(head, name)
                fields[name] = last_value(tail, name, start) if value is None else value
    return fields
