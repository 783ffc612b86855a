"""Rerankers: those of Cohere, Voyage, Jina, and others with the same format.

https://docs.cohere.com/reference/rerank bills searches and says no tokens; https://docs.voyageai.com/reference/reranker-api
and https://openrouter.ai/docs say `total_tokens`, all of which are input.
"""

from __future__ import annotations

import re

from llmmetrics.wire import cohere
from llmmetrics.wire.format import NO_COMPLETION, Format, PromptNames, Reading, count, mapping, text, wire_cost
from llmmetrics.wire.framing.frames import Doc
from llmmetrics.wire.usage import usage_of


def _read(body: Doc) -> Reading:
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
        id="rerank",
        vendor="cohere",
        path=re.compile(r"/rerank/?$"),
        fields=("usage", "meta", "model", "error"),
        members=("results", "data"),
        read=_read,
        prompt_names=PromptNames(texts=("query", "documents")),
        refusal=cohere.refusal,
        output_limits=NO_COMPLETION,
        plain_prompt=True,
        example="/v2/rerank",
        note="Cohere bills searches and sends no tokens: unknown, not 0",
    ),
)
