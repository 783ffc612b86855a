"""Anthropic's messages. https://docs.anthropic.com/en/api/messages and …/messages-streaming."""

from __future__ import annotations

import re

from llmmetrics.usage import Usage, add, usage_of
from llmmetrics.wire.families import ModelFamily
from llmmetrics.wire.format import (
    COMPLETION_NAMES,
    Charge,
    Format,
    Reading,
    count,
    counter,
    items,
    mapping,
    text,
    wire_cost,
)
from llmmetrics.wire.frames import Doc
from llmmetrics.wire.tiers import tier_of


def tokens(usage: Doc) -> Usage:
    """Return the buckets of one usage object. `input_tokens` does not include cache reads and writes."""
    written = count(usage.get("cache_creation_input_tokens"))
    for_an_hour = min(count(mapping(usage.get("cache_creation")).get("ephemeral_1h_input_tokens")), written)
    output = count(usage.get("output_tokens"))
    thinking = min(count(mapping(usage.get("output_tokens_details")).get("thinking_tokens")), output)
    return usage_of(
        {
            "input": count(usage.get("input_tokens")),
            "cache_read": count(usage.get("cache_read_input_tokens")),
            "cache_write": written - for_an_hour,
            "cache_write_1h": for_an_hour,
            "output": output - thinking,
            "reasoning": thinking,
            "web_search": count(mapping(usage.get("server_tool_use")).get("web_search_requests")),
        }
    )


def _charges(usage: Doc) -> tuple[Charge, ...]:
    """Return the passes of a call. The top-level counts do not include compaction and advisors."""
    passes = [mapping(each) for each in items(usage.get("iterations"))]
    if not passes:
        return (Charge(None, tokens(usage)),)
    fees = usage_of({"web_search": count(mapping(usage.get("server_tool_use")).get("web_search_requests"))})
    return (*(Charge(text(each.get("model")), tokens(each)) for each in passes), Charge(None, fees))


def read(body: Doc) -> Reading:
    """Read a message."""
    usage = mapping(body.get("usage"))
    charges = _charges(usage) if "input_tokens" in usage or "output_tokens" in usage else ()
    return Reading(
        model=text(body.get("model")),
        usage=add(charge.usage for charge in charges) if charges else None,
        charges=charges,
        wire_cost=wire_cost(usage),
        error=body.get("error"),
        # https://docs.anthropic.com/en/docs/build-with-claude/fast-mode
        tier=tier_of(usage.get("service_tier"), usage.get("speed")),
    )


def part(event: Doc) -> Doc:
    """Turn an event of a streamed message into a part of it."""
    return mapping(event.get("message")) or {"usage": event.get("usage"), "error": event.get("error")}


def ended(event: Doc) -> bool:
    """Return whether an event is a streamed message's last one."""
    return event.get("type") in ("message_stop", "error")


def _completion(body: Doc) -> Reading:
    # https://docs.anthropic.com/en/api/complete: the legacy API sends no usage
    return Reading(model=text(body.get("model")), error=body.get("error"))


_CLAUDE = ModelFamily(re.compile("claude|anthropic"), 1.05, 1.1, 3, 6, 415, 65, 32, 4, page=1700)
COMPLETION = COMPLETION_NAMES | {"thinking", "partial_json"}
TIER = (("service_tier",), ("speed",))
MAX_TOKENS = (("max_tokens",),)
# the legacy API's name
MAX_TOKENS_TO_SAMPLE = (("max_tokens_to_sample",),)


def refusal(message: str) -> Doc:
    """Return the body of an error: https://docs.anthropic.com/en/api/errors."""
    return {"type": "error", "error": {"type": "billing_error", "message": message}}


FORMATS = (
    Format(
        id="anthropic.messages",
        vendor="anthropic",
        path=re.compile(r"/v1/messages/?$"),
        fields=("usage", "model", "error"),
        read=read,
        part=part,
        ended=ended,
        refusal=refusal,
        output_limits=MAX_TOKENS,
        completion_names=COMPLETION,
        families=(_CLAUDE,),
        hosts=(("api.anthropic.com", "anthropic"),),
        example="/v1/messages",
        note="`input_tokens` does not include the cache; each pass has its own model and price",
        tier_names=TIER,
    ),
    Format(
        id="anthropic.complete",
        vendor="anthropic",
        # other servers have such a path too: only Anthropic's host, or a gateway's path that names it
        path=re.compile(r"anthropic.*/v1/complete/?$"),
        fields=("model", "error"),
        read=_completion,
        ended=lambda event: event.get("stop_reason") is not None or event.get("type") == "error",
        refusal=refusal,
        output_limits=MAX_TOKENS_TO_SAMPLE,
        completion_names=frozenset({"completion"}),
        plain_prompt=True,
        example="/anthropic/v1/complete",
        note="the legacy API, without usage",
    ),
    # https://docs.anthropic.com/en/docs/build-with-claude/token-counting
    counter(
        "anthropic",
        r"/v1/messages/count_tokens/?$|/anthropic/models/count-tokens:rawPredict$",
        "/v1/messages/count_tokens",
        refusal,
    ),
)
