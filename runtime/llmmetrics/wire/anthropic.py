"""Anthropic's messages. https://docs.anthropic.com/en/api/messages and …/messages-streaming."""

from __future__ import annotations

import re
from decimal import Decimal

from llmmetrics.usage import Usage, add, usage_of
from llmmetrics.wire.format import Charge, Format, Reading, count, items, mapping, text, wire_cost
from llmmetrics.wire.frames import Doc
from llmmetrics.wire.tiers import tier_of


def tokens(usage: Doc) -> Usage:
    """The buckets of one usage object: cache reads and writes stand beside `input_tokens`, not in it."""
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
    """The passes of a call: compaction and advisors are missing from the top-level counts."""
    passes = [mapping(each) for each in items(usage.get("iterations"))]
    if not passes:
        return (Charge(None, tokens(usage)),)
    fees = usage_of({"web_search": count(mapping(usage.get("server_tool_use")).get("web_search_requests"))})
    return (*(Charge(text(each.get("model")), tokens(each)) for each in passes), Charge(None, fees))


def read(body: Doc) -> Reading:
    """What a message says."""
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
    """What an event of a streamed message contributes to it."""
    if message := mapping(event.get("message")):
        return message
    usage = event.get("usage")
    if type(usage) is dict and not any(usage.get(name) for name in _INPUT):
        # gateways send a 0 here, after a `message_start` with the count
        usage = {name: value for name, value in usage.items() if name not in _INPUT}
    reason = mapping(event.get("delta")).get("stop_reason")
    return {"usage": usage, "stop_reason": reason, "error": event.get("error")}


def ended(event: Doc) -> bool:
    """Whether an event ends a streamed message: litellm stops reading at the one that says why it stopped."""
    kind = event.get("type")
    if kind == "message_delta":
        return mapping(event.get("delta")).get("stop_reason") is not None
    return kind in ("message_stop", "error")


def _completion(body: Doc) -> Reading:
    # https://docs.anthropic.com/en/api/complete: the answer of the legacy API has no usage
    return Reading(model=text(body.get("model")), error=body.get("error"))


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
    ),
    Format(
        id="anthropic.complete",
        vendor="anthropic",
        # anyone may have such a path: Anthropic's host, or a gateway's path that names it
        path=re.compile(r"anthropic.*/v1/complete/?$"),
        fields=("model", "error"),
        members=("completion", "stop_reason"),
        read=_completion,
        ended=lambda event: event.get("stop_reason") is not None or event.get("type") == "error",
    ),
)
