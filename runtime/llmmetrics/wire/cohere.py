"""Cohere's chat, embeddings and rerankers, versions 1 and 2. https://docs.cohere.com/reference/chat and …/embed."""

from __future__ import annotations

import re

from llmmetrics.wire.families import ModelFamily
from llmmetrics.wire.format import (
    COMPLETION_NAMES,
    NO_COMPLETION,
    Charge,
    Format,
    PromptNames,
    Reading,
    count,
    counter,
    mapping,
    text,
    wire_cost,
)
from llmmetrics.wire.framing.frames import Doc
from llmmetrics.wire.usage import usage_of

_COUNTS = {"input_tokens": "input", "image_tokens": "input_image", "output_tokens": "output"}


def _pieces(billed: Doc) -> int:
    """What is billed by piece: searches, and images of the older models, which bill no `image_tokens`."""
    images = 0 if billed.get("image_tokens") else count(billed.get("images"))
    return images + count(billed.get("search_units"))


def _read(body: Doc) -> Reading:
    # version 2 calls it `usage`, version 1 `meta`, embeddings `meta` in both
    usage = mapping(body.get("usage") or body.get("meta"))
    counted, billed = mapping(usage.get("tokens")), mapping(usage.get("billed_units"))
    error = body.get("error")
    said = counted or billed
    if said.keys().isdisjoint(_COUNTS):
        # an embedded image is billed as an image
        return Reading(error=error)
    prompt = count(said.get("input_tokens"))
    cached = min(count(usage.get("cached_tokens")), prompt)
    images = count(said.get("image_tokens"))
    seen = usage_of(
        {
            "input": prompt - cached,
            "input_image": images,
            "cache_read": cached,
            "output": count(said.get("output_tokens")),
        }
    )
    # what is billed is less than what is counted: no prompt template, no tool preamble
    bill = usage_of(
        {**{bucket: count(billed.get(name)) for name, bucket in _COUNTS.items()}, "tool_use": _pieces(billed)}
    )
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


def _ranked(body: Doc) -> Reading:
    """Read what a reranker says: Cohere bills searches and says no tokens; Voyage, Jina and others say `total_tokens`.

    https://docs.cohere.com/reference/rerank, https://docs.voyageai.com/reference/reranker-api, https://openrouter.ai/docs
    """
    usage = mapping(body.get("usage") or mapping(body.get("meta")).get("tokens"))
    names = ("total_tokens", "prompt_tokens", "input_tokens")
    said = next((usage[name] for name in names if usage.get(name) is not None), None)
    return Reading(
        model=text(body.get("model")),
        usage=None if said is None else usage_of({"input": count(said)}),
        wire_cost=wire_cost(usage),
        error=body.get("error"),
    )


FORMATS = (
    Format(
        id="cohere.v2.chat",
        vendor="cohere",
        path=re.compile(r"/v2/chat/?$"),
        fields=("usage", "error"),
        members=("message", "finish_reason"),
        read=_read,
        part=_part,
        ended=lambda event: event.get("type") == "message-end",
        prompt_names=PromptNames(messages=("messages",), texts=("documents",)),
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
        members=("text", "generations", "finish_reason", "meta"),
        read=_read,
        part=_part_1,
        ended=lambda event: event.get("event_type") == "stream-end",
        prompt_names=PromptNames(("message", "chat_history"), ("preamble",), ("prompt", "documents")),
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
        members=("embeddings", "meta"),
        read=_read,
        prompt_names=PromptNames(texts=("texts", "inputs", "images")),
        refusal=refusal,
        output_limits=NO_COMPLETION,
        plain_prompt=True,
        example="/v2/embed",
        note="images are billed as images",
    ),
    # https://docs.cohere.com/reference/tokenize: Cohere's host, or a gateway's path that names it
    counter("cohere", r"cohere.*/v1/tokenize/?$", "/cohere/v1/tokenize", refusal, PromptNames(texts=("text",))),
    Format(
        id="rerank",
        vendor="cohere",
        path=re.compile(r"/rerank/?$"),
        fields=("usage", "meta", "model", "error"),
        members=("results", "data"),
        read=_ranked,
        prompt_names=PromptNames(texts=("query", "documents")),
        refusal=refusal,
        output_limits=NO_COMPLETION,
        plain_prompt=True,
        example="/v2/rerank",
        note="Cohere bills searches and sends no tokens: unknown, not 0",
    ),
)
