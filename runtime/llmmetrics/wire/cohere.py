"""Cohere's chat and embeddings, versions 1 and 2. https://docs.cohere.com/reference/chat and …/embed."""

from __future__ import annotations

import re

from llmmetrics.usage import usage_of
from llmmetrics.wire.families import ModelFamily
from llmmetrics.wire.format import COMPLETION_NAMES, NO_COMPLETION, Charge, Format, Reading, count, counter, mapping
from llmmetrics.wire.frames import Doc


def _read(body: Doc) -> Reading:
    # version 2 calls it `usage`, version 1 `meta`, embeddings `meta` in both
    usage = mapping(body.get("usage") or body.get("meta"))
    counted, billed = mapping(usage.get("tokens")), mapping(usage.get("billed_units"))
    error = body.get("error")
    said = counted or billed
    if "input_tokens" not in said and "output_tokens" not in said:
        # an embedded image is billed as an image
        return Reading(error=error)
    prompt = count(said.get("input_tokens"))
    cached = min(count(usage.get("cached_tokens")), prompt)
    seen = usage_of({"input": prompt - cached, "cache_read": cached, "output": count(said.get("output_tokens"))})
    # what is billed is less than what is counted: no prompt template, no tool preamble
    bill = usage_of({"input": count(billed.get("input_tokens")), "output": count(billed.get("output_tokens"))})
    return Reading(usage=seen, charges=(Charge(None, bill),) if billed else (), error=error)


def _part(event: Doc) -> Doc:
    delta = mapping(event.get("delta"))
    return {"usage": delta.get("usage"), "error": delta.get("error") or event.get("error")}


def _part_1(event: Doc) -> Doc:
    # https://docs.cohere.com/v1/reference/chat-stream
    error = event if event.get("finish_reason") == "ERROR" else event.get("error")
    return {"meta": mapping(event.get("response")).get("meta"), "error": error}


_COMMAND = ModelFamily(re.compile("command|cohere"), 1.1, 0.1, 150, 4, 1200, 0, 22, 0)
_COMPLETION = COMPLETION_NAMES | {"thinking", "tool_plan", "arguments", "parameters"}


def refusal(message: str) -> Doc:
    """Return the body of an error: https://docs.cohere.com/reference/errors."""
    return {"message": message}


FORMATS = (
    Format(
        id="cohere.v2.chat",
        vendor="cohere",
        path=re.compile(r"/v2/chat/?$"),
        fields=("usage", "error"),
        read=_read,
        part=_part,
        ended=lambda event: event.get("type") == "message-end",
        refusal=refusal,
        output_limits=(("max_tokens",),),
        completion_names=_COMPLETION,
        families=(_COMMAND,),
        hosts=(("api.cohere.com", "cohere"), ("api.cohere.ai", "cohere")),
        example="/v2/chat",
        note="counted tokens, and fewer that are billed",
    ),
    # the paths of version 1 are everyone's: Cohere's host, or a gateway's path that names it
    Format(
        id="cohere.v1.chat",
        vendor="cohere",
        # /v1/generate is its predecessor
        path=re.compile(r"cohere.*/v1/(?:chat|generate)/?$"),
        fields=("meta", "error"),
        read=_read,
        part=_part_1,
        ended=lambda event: event.get("event_type") == "stream-end",
        refusal=refusal,
        output_limits=(("max_tokens",),),
        answer_counts=(("num_generations",),),
        completion_names=_COMPLETION,
        example="/cohere/v1/chat",
        note="`/v1/generate` too",
    ),
    Format(
        id="cohere.embed",
        vendor="cohere",
        path=re.compile(r"/v2/embed/?$|cohere.*/v1/embed/?$"),
        fields=("meta", "error"),
        read=_read,
        refusal=refusal,
        output_limits=NO_COMPLETION,
        plain_prompt=True,
        example="/v2/embed",
        note="images are billed as images",
    ),
    # https://docs.cohere.com/reference/tokenize: Cohere's host, or a gateway's path that names it
    counter("cohere", r"cohere.*/v1/tokenize/?$", "/cohere/v1/tokenize", refusal),
)
