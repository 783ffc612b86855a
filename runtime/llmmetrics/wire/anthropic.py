"""Anthropic's messages. https://docs.anthropic.com/en/api/messages and …/messages-streaming."""

from __future__ import annotations

import re
from decimal import Decimal

from llmmetrics.wire.families import ModelFamily
from llmmetrics.wire.format import (
    COMPLETION_NAMES,
    Charge,
    Format,
    PromptNames,
    Reading,
    count,
    counter,
    items,
    mapping,
    text,
    wire_cost,
)
from llmmetrics.wire.framing.frames import Doc
from llmmetrics.wire.tiers import region_of, tier_of
from llmmetrics.wire.usage import Usage, add, usage_of


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
        geo=region_of(usage.get("inference_geo")),
    )


def _message(body: Doc) -> Reading:
    """What a message of Anthropic's own API says, where a refusal before any output is not billed.

    https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback; its tokens are counted all the same.
    """
    reading = read(body)
    usage = mapping(body.get("usage"))
    passes = [mapping(each) for each in items(usage.get("iterations"))] or [usage]
    # a model that declined before another one took over is a `message` without output
    took_over = any(each.get("type") == "fallback_message" for each in passes)
    declined = [took_over and each.get("type") == "message" for each in passes]
    declined[-1] = body.get("stop_reason") == "refusal"
    free = [no and not charge.usage.completion for no, charge in zip(declined, reading.charges, strict=False)]
    if not any(free):
        return reading
    if all(free):
        return reading._replace(wire_cost=reading.wire_cost or Decimal(0))
    fees = reading.charges[len(passes) :]
    billed = (charge for charge, no in zip(reading.charges, free, strict=False) if not no)
    return reading._replace(charges=(*billed, *fees))


_INPUT = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def part(event: Doc) -> Doc:
    """Turn an event of a streamed message into a part of it."""
    if message := mapping(event.get("message")):
        return message
    usage = event.get("usage")
    if type(usage) is dict and not any(usage.get(name) for name in _INPUT):
        # gateways send a 0 here, after a `message_start` with the count
        usage = {name: value for name, value in usage.items() if name not in _INPUT}
    reason = mapping(event.get("delta")).get("stop_reason")
    return {"usage": usage, "stop_reason": reason, "error": event.get("error")}


def ended(event: Doc) -> bool:
    """Return whether an event ends a streamed message: litellm stops reading at the one with the stop reason."""
    kind = event.get("type")
    if kind == "message_delta":
        return mapping(event.get("delta")).get("stop_reason") is not None
    return kind in ("message_stop", "error")


def _completion(body: Doc) -> Reading:
    # https://docs.anthropic.com/en/api/complete: the legacy API sends no usage
    return Reading(model=text(body.get("model")), error=body.get("error"))


_CLAUDE = ModelFamily(re.compile("claude|anthropic"), 1.05, 1.1, 3, 6, 415, 65, 32, 4, page=1700)
COMPLETION = COMPLETION_NAMES | {"thinking", "partial_json"}
_HOSTS = (
    ("api.anthropic.com", "anthropic"),
    # Anthropic's own API, sold by a cloud
    (re.compile(r"^aws-external-anthropic\.[\w-]+\.api\.aws$|^claude\.googleapis\.com$"), "anthropic"),
)
PROMPT = PromptNames(messages=("messages",), system=("system",))
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
        fields=("usage", "model", "stop_reason", "error"),
        members=("content", "stop_reason"),
        read=_message,
        part=part,
        ended=ended,
        prompt_names=PROMPT,
        refusal=refusal,
        output_limits=MAX_TOKENS,
        completion_names=COMPLETION,
        families=(_CLAUDE,),
        hosts=_HOSTS,
        example="/v1/messages",
        note="`input_tokens` does not include the cache; a refusal before any output is free",
        geo_name=("inference_geo",),
        tier_names=TIER,
    ),
    Format(
        id="anthropic.complete",
        vendor="anthropic",
        # other servers have such a path too: only Anthropic's host, or a gateway's path that names it
        path=re.compile(r"anthropic.*/v1/complete/?$"),
        fields=("model", "error"),
        members=("completion", "stop_reason"),
        read=_completion,
        ended=lambda event: event.get("stop_reason") is not None or event.get("type") == "error",
        prompt_names=PromptNames(texts=("prompt",)),
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
        PROMPT,
    ),
)
