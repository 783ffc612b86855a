"""Gemini, on Google's AI Studio and Vertex. https://ai.google.dev/api/generate-content#UsageMetadata."""

from __future__ import annotations

import re
from typing import Any

from llmmetrics.wire.families import ModelFamily, crops
from llmmetrics.wire.format import (
    COMPLETION_NAMES,
    NO_COMPLETION,
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
from llmmetrics.wire.tiers import tier_of
from llmmetrics.wire.usage import Usage, usage_of

# Vertex may send the enum's integers; documents are priced like text, and so is what is not said
_MODALITIES = {"IMAGE": "image", 2: "image", "VIDEO": "video", 3: "video", "AUDIO": "audio", 4: "audio"}


# https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/GenerateContentResponse#TrafficType
_TRAFFIC = {
    "PROVISIONED_THROUGHPUT": "provisioned",
    2: "provisioned",
    "ON_DEMAND_PRIORITY": "priority",
    "ON_DEMAND_FLEX": "flex",
}
"""Vertex's names of the tiers."""


def _traffic(kind: Any) -> Any:
    return _TRAFFIC.get(kind, kind) if isinstance(kind, str | int) else None


def _by_modality(details: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in items(details):
        fields = mapping(entry)
        modality = fields.get("modality")
        name = _MODALITIES.get(modality) if isinstance(modality, str | int) else None
        if name:
            found[name] = found.get(name, 0) + count(fields.get("tokenCount"))
    return found


def tokens(usage: Doc) -> Usage:
    """Return the buckets of a usageMetadata. The other counts do not include thoughts and tool prompts."""
    prompt = count(usage.get("promptTokenCount"))
    cached = count(usage.get("cachedContentTokenCount"))
    inward, cache = (
        _by_modality(usage.get("promptTokensDetails") or usage.get("promptTokenDetails")),
        _by_modality(usage.get("cacheTokensDetails")),
    )
    outward = _by_modality(usage.get("candidatesTokensDetails"))
    output = count(usage.get("candidatesTokenCount"))
    buckets = {
        f"input_{name}": max(inward.get(name, 0) - cache.get(name, 0), 0) for name in ("audio", "image", "video")
    }
    buckets |= {f"cache_read_{name}": n for name, n in cache.items()}
    buckets |= {f"output_{name}": outward.get(name, 0) for name in ("audio", "image", "video")}
    buckets["cache_read"] = max(cached - sum(cache.values()), 0)
    buckets["input"] = max(prompt - sum(n for name, n in buckets.items() if not name.startswith("output")), 0)
    buckets["input"] += count(usage.get("toolUsePromptTokenCount"))
    buckets["output"] = max(output - sum(outward.values()), 0)
    buckets["reasoning"] = count(usage.get("thoughtsTokenCount"))
    return usage_of(buckets)


def read(body: Doc) -> Reading:
    """Read an answer."""
    usage = mapping(body.get("usageMetadata"))
    known = any(name in usage for name in ("promptTokenCount", "candidatesTokenCount", "totalTokenCount"))
    used = tokens(usage) if known else None
    if used and not used.total and count(usage.get("totalTokenCount")):
        # a total alone does not say what it is the total of
        used = None
    return Reading(
        model=text(body.get("modelVersion")),
        usage=used,
        wire_cost=wire_cost(usage),
        error=body.get("error"),
        tier=tier_of(usage.get("serviceTier"), _traffic(usage.get("trafficType"))),
    )


def _last(event: Doc) -> bool:
    return any(mapping(each).get("finishReason") for each in items(event.get("candidates")))


_GEMINI = ModelFamily(re.compile("gemini|gemma|google"), 0.97, 0.2, 0, 1, 0, 15, 0, 0, image=crops, page=258, audio=32)
# https://ai.google.dev/api/caching#ExecutableCode
_COMPLETION = COMPLETION_NAMES | {"code"}
# https://ai.google.dev/api/generate-content#generationconfig; Google's JSON has each name in both spellings
_PROMPT = PromptNames(messages=("contents",), system=("systemInstruction", "system_instruction"))
_COUNTED = _PROMPT._replace(texts=("instances",))
_OUTPUT_LIMITS = (
    *(("generationConfig", "maxOutputTokens"), ("generation_config", "max_output_tokens")),
    *(("generationConfig", "max_output_tokens"), ("generation_config", "maxOutputTokens")),
)
_ANSWER_COUNTS = (
    *(("generationConfig", "candidateCount"), ("generation_config", "candidate_count")),
    *(("generationConfig", "candidate_count"), ("generation_config", "candidateCount")),
)


def refusal(message: str) -> Doc:
    """Return the body of an error: https://cloud.google.com/apis/design/errors."""
    return {"error": {"code": 402, "message": message, "status": "RESOURCE_EXHAUSTED"}}


_MODEL = r"/(?:models|tunedModels|endpoints)/(?P<model>[^/:]+)"

FORMATS = (
    Format(
        id="gemini.generate",
        vendor="gemini",
        # tuned models have a collection of their own, Vertex's an endpoint
        path=re.compile(_MODEL + r":(?:(?P<stream>streamG)|g)enerateContent$"),
        fields=("usageMetadata", "modelVersion", "error"),
        members=("candidates", "promptFeedback", "usageMetadata"),
        read=read,
        ended=_last,
        prompt_names=_PROMPT,
        refusal=refusal,
        output_limits=_OUTPUT_LIMITS,
        answer_counts=_ANSWER_COUNTS,
        completion_names=_COMPLETION,
        families=(_GEMINI,),
        hosts=(("generativelanguage.googleapis.com", "google"),),
        example="/v1beta/models/MODEL:generateContent",
        note="`candidatesTokenCount` does not include thoughts; each modality has its own price",
        tier_names=(("serviceTier",), ("service_tier",)),
    ),
    Format(
        id="gemini.embed",
        vendor="gemini",
        path=re.compile(_MODEL + r":(?:embedContent|batchEmbedContents)$"),
        fields=("usageMetadata", "error"),
        members=("embedding", "embeddings"),
        read=read,
        prompt_names=PromptNames(texts=("content", "requests")),
        refusal=refusal,
        output_limits=NO_COMPLETION,
        plain_prompt=True,
        example="/v1beta/models/MODEL:embedContent",
        note="some models send no usage",
    ),
    # https://ai.google.dev/api/tokens
    counter(
        "gemini", _MODEL + r":(?:countTokens|computeTokens)$", "/v1beta/models/MODEL:countTokens", refusal, _COUNTED
    ),
)
