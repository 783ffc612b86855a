"""Gemini's interactions. https://ai.google.dev/api/interactions-api#Resource:Interaction."""

from __future__ import annotations

import re
from typing import Any

from llmmetrics.wire import gemini
from llmmetrics.wire.format import (
    COMPLETION_NAMES,
    Format,
    PromptNames,
    Reading,
    count,
    items,
    mapping,
    text,
    wire_cost,
)
from llmmetrics.wire.framing.frames import DONE, Doc
from llmmetrics.wire.hosted_tools import plus
from llmmetrics.wire.later import AnswerState, LaterAnswer, state_of
from llmmetrics.wire.tiers import tier_of
from llmmetrics.wire.usage import Usage

_COUNTS = {
    "total_input_tokens": "promptTokenCount",
    "total_output_tokens": "candidatesTokenCount",
    "total_cached_tokens": "cachedContentTokenCount",
    "total_tool_use_tokens": "toolUsePromptTokenCount",
    "total_thought_tokens": "thoughtsTokenCount",
}
_DETAILS = {
    "input_tokens_by_modality": "promptTokensDetails",
    "output_tokens_by_modality": "candidatesTokensDetails",
    "cached_tokens_by_modality": "cacheTokensDetails",
}


def _detail(entry: Any) -> Doc:
    fields = mapping(entry)
    return {"modality": str(fields.get("modality")).upper(), "tokenCount": fields.get("tokens")}


def _metadata(usage: Doc) -> Doc:
    """Return the counts with the names of Gemini's other formats."""
    found: dict[str, Any] = {name: usage[ours] for ours, name in _COUNTS.items() if ours in usage}
    return found | {name: [_detail(each) for each in items(usage.get(ours))] for ours, name in _DETAILS.items()}


_TOOLS = {"google_search": "web_search", "retrieval": "file_search"}


def _grounded(usage: Doc) -> Usage:
    """The buckets, with how often each tool was used to ground the answer."""
    used = gemini.tokens(_metadata(usage))
    for each in items(usage.get("grounding_tool_count")):
        fields = mapping(each)
        used = plus(used, {_TOOLS.get(str(fields.get("type")), "tool_use"): count(fields.get("count"))})
    return used


def read(body: Doc) -> Reading:
    """Read an interaction."""
    usage = mapping(body.get("usage"))
    known = "total_input_tokens" in usage or "total_output_tokens" in usage
    return Reading(
        model=text(body.get("model")),
        usage=_grounded(usage) if known else None,
        wire_cost=wire_cost(usage),
        error=body.get("error"),
        tier=tier_of(body.get("service_tier")),
        later=None if known and not body.get("background") else _later(body, used=known),
    )


def _later(body: Doc, *, used: bool) -> LaterAnswer | None:
    """Read the state of an interaction that was asked for in the background."""
    id, word = text(body.get("id")), body.get("status")
    # it waits for the caller's next interaction, which is another one
    state = AnswerState.COMPLETED if word == "requires_action" else state_of(word, used=used)
    return LaterAnswer(id, state, body.get("background") is True) if id and state else None


def _part(event: Doc) -> Doc:
    update = {"id": event.get("interaction_id"), "status": event.get("status"), "usage": event.get("usage")}
    return {**update, **mapping(event.get("interaction")), "error": event.get("error")}


FORMATS = (
    Format(
        id="gemini.interactions",
        vendor="gemini",
        path=re.compile(r"/v\d\w*/interactions/?$"),
        fields=("usage", "model", "service_tier", "id", "status", "background", "error"),
        members=("steps", "outputs", "status"),
        read=read,
        part=_part,
        ended=lambda event: event is DONE or str(event.get("event_type")).startswith("interaction.complete"),
        prompt_names=PromptNames(messages=("input",), system=("system_instruction",)),
        refusal=gemini.refusal,
        output_limits=(("generation_config", "max_output_tokens"),),
        completion_names=COMPLETION_NAMES | {"arguments", "code"},
        example="/v1beta/interactions",
        note="as `gemini.generate`, with other names, and with counts of searches; with `background`, in the answer "
        "that is fetched",
        tier_names=(("service_tier",),),
        fetched=re.compile(r"/v\d\w*/interactions/(?P<id>[^/]+)(?:/cancel)?/?$"),
    ),
)
