"""Gemini's shapes. https://ai.google.dev/api/generate-content."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from llmmetrics.testing.messages import Answer, Request
from llmmetrics.testing.shapes.base import Doc, Shape, model, sse, with_usage


def _gemini_usage(answer: Answer) -> Doc:
    return {
        "promptTokenCount": answer.prompt_tokens,
        "candidatesTokenCount": answer.completion_tokens - answer.reasoning,
        "totalTokenCount": answer.prompt_tokens + answer.completion_tokens,
        **({"thoughtsTokenCount": answer.reasoning} if answer.reasoning else {}),
        **({"cachedContentTokenCount": answer.cache_read} if answer.cache_read else {}),
    }


def _content(request: Request, answer: Answer, text: str, *, last: bool = True) -> Doc:
    part: Doc = {"text": text}
    if answer.tool:
        # https://ai.google.dev/gemini-api/docs/function-calling
        part = {"functionCall": {"name": answer.tool.name, "args": dict(answer.tool.arguments)}}
    candidate: Doc = {"content": {"parts": [part], "role": "model"}, "index": 0}
    if last:
        candidate["finishReason"] = "STOP"
    doc = {"candidates": [candidate], "modelVersion": model(request, answer), "responseId": "r-1"}
    return with_usage(doc, answer, "usageMetadata", _gemini_usage(answer)) if last else doc


def _content_stream(request: Request, answer: Answer) -> Iterator[bytes]:
    pieces = answer.deltas
    docs = [_content(request, answer, piece, last=n == len(pieces)) for n, piece in enumerate(pieces, 1)]
    if "alt=sse" in request.query:
        yield from map(sse, docs)
        return
    # without alt=sse the stream is one JSON array, an element a chunk
    for n, doc in enumerate(docs):
        yield (b"," if n else b"[") + json.dumps(doc).encode() + b"\n"
    yield b"]"


def _whole(request: Request, answer: Answer) -> Doc:
    return _content(request, answer, answer.text)


SHAPES = (Shape(re.compile(r":(?:streamG|g)enerateContent$"), "gemini", _whole, _content_stream),)
