"""Gemini's shapes: generating, embedding, counting.

https://ai.google.dev/api/generate-content, https://ai.google.dev/api/embeddings, https://ai.google.dev/api/tokens and
https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/computeTokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from llmmetrics.testing.messages.model import Answer, Request
from llmmetrics.testing.messages.provider_errors import NO_FILTER, ProviderErrors, Refusal
from llmmetrics.testing.shapes.base import VECTOR, Doc, Shape, inputs, model, sse, with_usage


def _usage(answer: Answer) -> Doc:
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
    return with_usage(doc, answer, "usageMetadata", _usage(answer)) if last else doc


def _is_sse(request: Request) -> bool:
    return "alt=sse" in request.query


def content_stream(request: Request, answer: Answer) -> Iterator[bytes]:
    """Yield streamed content."""
    pieces = answer.deltas
    docs = [_content(request, answer, piece, last=n == len(pieces)) for n, piece in enumerate(pieces, 1)]
    if _is_sse(request):
        yield from map(sse, docs)
        return
    # without alt=sse the stream is one JSON array, an element per chunk
    for n, doc in enumerate(docs):
        yield (b"," if n else b"[") + json.dumps(doc).encode() + b"\n"
    yield b"]"


def failed(request: Request, refusal: Refusal) -> bytes:
    """Return the end of a stream that fails."""
    # its events have no names
    return sse(refusal.body) if _is_sse(request) else f",{json.dumps(refusal.body)}]".encode()


def content(request: Request, answer: Answer) -> Doc:
    """Return generated content."""
    return _content(request, answer, answer.text)


def _embedding_usage(answer: Answer) -> Doc:
    details = [{"modality": "TEXT", "tokenCount": answer.prompt_tokens}]
    return {"promptTokenCount": answer.prompt_tokens, "promptTokenDetails": details}


def _embedding(_: Request, answer: Answer) -> Doc:
    return with_usage({"embedding": {"values": VECTOR}}, answer, "usageMetadata", _embedding_usage(answer))


def _embeddings(request: Request, answer: Answer) -> Doc:
    vectors = [{"values": VECTOR} for _ in inputs(request, "requests")]
    return with_usage({"embeddings": vectors}, answer, "usageMetadata", _embedding_usage(answer))


def _count(_: Request, answer: Answer) -> Doc:
    details = [{"modality": "TEXT", "tokenCount": answer.prompt_tokens}]
    return {"totalTokens": answer.prompt_tokens, "promptTokensDetails": details}


def _error(http: int, code: str, message: str) -> Any:
    status, _, reason = code.partition("/")
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}
    return {"error": {"code": http, "message": message, "status": status, "details": [info] if reason else []}}


# Google reports blocked content in a 200
ERRORS = ProviderErrors(
    "gemini",
    {
        "rate_limit": "RESOURCE_EXHAUSTED",
        "rate_limit_bare": "RESOURCE_EXHAUSTED",
        "insufficient_quota": "RESOURCE_EXHAUSTED",
        "bad_key": "INVALID_ARGUMENT/API_KEY_INVALID",
        "forbidden": "PERMISSION_DENIED",
        "not_found": "NOT_FOUND",
        "context_too_long": "INVALID_ARGUMENT",
        "gateway_timeout": "DEADLINE_EXCEEDED",
        "unavailable": "UNAVAILABLE",
        "overloaded": "UNAVAILABLE",
    },
    _error,
    {"bad_key": 400, "overloaded": 503},
    NO_FILTER,
    "INTERNAL",
)


SHAPES = (
    Shape("gemini.generate", ERRORS, content, content_stream, failed=failed),
    Shape("gemini.embed", ERRORS, _embedding, path=re.compile(r":embedContent$")),
    Shape("gemini.embed", ERRORS, _embeddings, path=re.compile(r":batchEmbedContents$")),
    Shape("gemini.count_tokens", ERRORS, _count, path=re.compile(r":countTokens$")),
)
