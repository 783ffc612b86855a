"""Ollama's own API. https://github.com/ollama/ollama/blob/main/docs/api.md."""

from __future__ import annotations

import re

from llmmetrics.usage import usage_of
from llmmetrics.wire.format import Format, Reading, count, text
from llmmetrics.wire.frames import Doc


def _read(body: Doc) -> Reading:
    # `prompt_eval_count` is absent when the whole prompt came from the cache
    known = body.get("eval_count") is not None or body.get("prompt_eval_count") is not None
    prompt = count(body.get("prompt_eval_count"))
    cached = min(count(body.get("prompt_eval_cached_count")), prompt)
    counts = {"input": prompt - cached, "cache_read": cached, "output": count(body.get("eval_count"))}
    return Reading(model=text(body.get("model")), usage=usage_of(counts) if known else None, error=body.get("error"))


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
    ),
    Format(
        id="ollama.embed",
        vendor="ollama",
        path=re.compile(r"/api/embed(?:dings)?$"),
        fields=("prompt_eval_count", "model", "error"),
        members=("embeddings", "embedding"),
        read=_read,
    ),
)
