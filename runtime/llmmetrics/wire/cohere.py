"""Cohere's chat, version 2. https://docs.cohere.com/reference/chat and …/chat-stream."""

from __future__ import annotations

import re

from llmmetrics.usage import usage_of
from llmmetrics.wire.format import Charge, Format, Reading, count, mapping
from llmmetrics.wire.frames import Doc


def _read(body: Doc) -> Reading:
    usage = mapping(body.get("usage"))
    counted, billed = mapping(usage.get("tokens")), mapping(usage.get("billed_units"))
    error = body.get("error")
    if not counted and not billed:
        return Reading(error=error)
    said = counted or billed
    prompt = count(said.get("input_tokens"))
    cached = min(count(usage.get("cached_tokens")), prompt)
    seen = usage_of({"input": prompt - cached, "cache_read": cached, "output": count(said.get("output_tokens"))})
    # what is billed is less than what is counted: no prompt template, no tool preamble
    bill = usage_of({"input": count(billed.get("input_tokens")), "output": count(billed.get("output_tokens"))})
    return Reading(usage=seen, charges=(Charge(None, bill),) if billed else (), error=error)


def _part(event: Doc) -> Doc:
    delta = mapping(event.get("delta"))
    return {"usage": delta.get("usage"), "error": delta.get("error") or event.get("error")}


FORMATS = (
    Format(
        id="cohere.v2.chat",
        vendor="cohere",
        path=re.compile(r"/v2/chat/?$"),
        fields=("usage", "error"),
        read=_read,
        part=_part,
        ended=lambda event: event.get("type") == "message-end",
    ),
)
