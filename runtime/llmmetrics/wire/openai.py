"""OpenAI's wire formats, and everyone who speaks them: chat, completions, embeddings, responses.

https://platform.openai.com/docs/api-reference; what other hosts add is said where it is read.
"""

from __future__ import annotations

import re

from llmmetrics.usage import Usage, usage_of
from llmmetrics.wire.format import Format, Reading, count, mapping, text, wire_cost
from llmmetrics.wire.frames import DONE, Doc


def tokens(usage: Doc) -> Usage:
    """The buckets of an OpenAI usage object, under the names of chat or of responses."""
    prompt = count(usage.get("prompt_tokens") or usage.get("input_tokens"))
    completion = count(usage.get("completion_tokens") or usage.get("output_tokens"))
    inward = mapping(usage.get("prompt_tokens_details") or usage.get("input_tokens_details"))
    outward = mapping(usage.get("completion_tokens_details") or usage.get("output_tokens_details"))
    said = count(
        inward.get("cached_tokens")
        # DeepSeek, Mistral and Moonshot have names of their own for it
        or usage.get("prompt_cache_hit_tokens")
        or usage.get("num_cached_tokens")
        or usage.get("cached_tokens")
    )
    # Grok on Azure says more than the prompt has
    cached = min(said, prompt)
    written = min(count(inward.get("cache_write_tokens")), prompt - cached)
    audio_in, audio_out = count(inward.get("audio_tokens")), count(outward.get("audio_tokens"))
    reasoning = min(count(outward.get("reasoning_tokens")), completion)
    # tokens that only the total shows: Mistral's audio input, elsewhere hidden reasoning
    hidden = count(usage.get("total_tokens")) - prompt - completion
    if hidden > 0 and completion:
        if usage.get("prompt_audio_seconds"):
            audio_in, prompt = audio_in + hidden, prompt + hidden
        else:
            reasoning, completion = reasoning + hidden, completion + hidden
    return usage_of(
        {
            "input": max(prompt - cached - written - audio_in, 0),
            "input_audio": audio_in,
            "cache_read": cached,
            "cache_write": written,
            "output": max(completion - reasoning - audio_out, 0),
            "output_audio": audio_out,
            "reasoning": reasoning,
        },
        cache_read=said,
    )


_COUNTS = frozenset({"prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "total_tokens"})


def _read(body: Doc) -> Reading:
    usage = mapping(body.get("usage"))
    return Reading(
        model=text(body.get("model")),
        usage=None if _COUNTS.isdisjoint(usage) else tokens(usage),
        wire_cost=wire_cost(usage),
        error=body.get("error"),
    )


def _chunk(event: Doc) -> Doc:
    # Groq puts a stream's usage under a key of its own
    usage = event.get("usage") or mapping(event.get("x_groq")).get("usage")
    return {"usage": usage, "model": event.get("model"), "error": event.get("error")}


def _response(event: Doc) -> Doc:
    if event.get("type") == "error":
        return {"error": event}
    return mapping(event.get("response")) or event


_LAST_EVENTS = {"response.completed", "response.failed", "response.incomplete", "error"}
_FIELDS = ("usage", "model", "error")
# Azure: /openai/deployments/NAME/…, the deployment is what is asked for
_DEPLOYMENT = r"(?:/deployments/(?P<model>[^/]+))?"

FORMATS = (
    Format(
        id="openai.chat",
        vendor="openai",
        # Writer has a path of its own for it
        path=re.compile(_DEPLOYMENT + r"/chat/completions/?$|^api\.writer\.com/v1/chat$"),
        fields=_FIELDS,
        read=_read,
        part=_chunk,
        ended=lambda event: event is DONE,
    ),
    Format(
        id="openai.responses",
        vendor="openai",
        path=re.compile(_DEPLOYMENT + r"/responses(?:/compact)?/?$"),
        fields=_FIELDS,
        read=_read,
        part=_response,
        ended=lambda event: event.get("type") in _LAST_EVENTS,
    ),
    Format(
        id="openai.completions",
        vendor="openai",
        path=re.compile(_DEPLOYMENT + r"/completions/?$"),
        fields=_FIELDS,
        read=_read,
        part=_chunk,
        ended=lambda event: event is DONE,
    ),
    Format(
        id="openai.embeddings",
        vendor="openai",
        path=re.compile(_DEPLOYMENT + r"/embeddings/?$"),
        fields=_FIELDS,
        read=_read,
    ),
)
