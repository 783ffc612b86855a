"""Ollama's own API. https://github.com/ollama/ollama/blob/main/docs/api.md."""

from __future__ import annotations

import re

from llmmetrics.wire.format import COMPLETION_NAMES, NO_COMPLETION, Format, PromptNames, Reading, count, text
from llmmetrics.wire.framing.frames import Doc
from llmmetrics.wire.usage import usage_of


def _read(body: Doc) -> Reading:
    # `prompt_eval_count` is absent when the whole prompt came from the cache
    known = body.get("eval_count") is not None or body.get("prompt_eval_count") is not None
    prompt = count(body.get("prompt_eval_count"))
    cached = min(count(body.get("prompt_eval_cached_count")), prompt)
    counts = {"input": prompt - cached, "cache_read": cached, "output": count(body.get("eval_count"))}
    return Reading(model=text(body.get("model")), usage=usage_of(counts) if known else None, error=body.get("error"))


_COMPLETION = COMPLETION_NAMES | {"response", "thinking"}
_NUM_PREDICT = (("options", "num_predict"),)


def _refusal(message: str) -> Doc:
    return {"error": message}


FORMATS = (
    Format(
        id="ollama.chat",
        vendor="ollama",
        path=re.compile(r"/api/chat$"),
        fields=("eval_count", "prompt_eval_count", "prompt_eval_cached_count", "model", "error"),
        members=("message", "done"),
        read=_read,
        ended=lambda event: event.get("done") is True,
        always_streams=True,
        prompt_names=PromptNames(messages=("messages",)),
        refusal=_refusal,
        output_limits=_NUM_PREDICT,
        completion_names=_COMPLETION,
        hosts=(("ollama.com", "ollama"), ("localhost:11434", "ollama"), ("127.0.0.1:11434", "ollama")),
        example="/api/chat",
        note="streams unless asked not to; no prompt count if all of it was cached",
    ),
    Format(
        id="ollama.generate",
        vendor="ollama",
        path=re.compile(r"/api/generate$"),
        fields=("eval_count", "prompt_eval_count", "prompt_eval_cached_count", "model", "error"),
        members=("response", "done"),
        read=_read,
        ended=lambda event: event.get("done") is True,
        always_streams=True,
        prompt_names=PromptNames(system=("system",), texts=("prompt", "images")),
        refusal=_refusal,
        output_limits=_NUM_PREDICT,
        completion_names=_COMPLETION,
        example="/api/generate",
        note="as `ollama.chat`",
    ),
    Format(
        id="ollama.embed",
        vendor="ollama",
        path=re.compile(r"/api/embed(?:dings)?$"),
        fields=("prompt_eval_count", "model", "error"),
        members=("embeddings", "embedding"),
        read=_read,
        prompt_names=PromptNames(texts=("input", "prompt")),
        refusal=_refusal,
        output_limits=NO_COMPLETION,
        plain_prompt=True,
        example="/api/embed",
        note="`/api/embeddings` too",
    ),
)
