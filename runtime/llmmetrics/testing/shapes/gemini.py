"""Gemini's shapes: generating, embedding, counting.

https://ai.google.dev/api/generate-content, https://ai.google.dev/api/embeddings, https://ai.google.dev/api/tokens and
https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/computeTokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from llmmetrics.testing.messages.model import Answer, Request
from llmmetrics.testing.messages.provider_errors import Refusal
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


def _content_stream(request: Request, answer: Answer) -> Iterator[bytes]:
    pieces = answer.deltas
    docs = [_content(request, answer, piece, last=n == len(pieces)) for n, piece in enumerate(pieces, 1)]
    if _is_sse(request):
        yield from map(sse, docs)
        return
    # without alt=sse the stream is one JSON array, an element a chunk
    for n, doc in enumerate(docs):
        yield (b"," if n else b"[") + json.dumps(doc).encode() + b"\n"
    yield b"]"


def _failed(request: Request, refusal: Refusal) -> bytes:
    # its events have no names
    return sse(refusal.body) if _is_sse(request) else f",{json.dumps(refusal.body)}]".encode()


def _whole(request: Request, answer: Answer) -> Doc:
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


def _compute(_: Request, answer: Answer) -> Doc:
    numbers = range(answer.prompt_tokens)
    return {"tokensInfo": [{"tokens": ["eA==" for _ in numbers], "tokenIds": list(map(str, numbers)), "role": "user"}]}


SHAPES = (
    # Vertex has them below a project, and its own keys
    Shape("gemini.generate", "vertex", _whole, _content_stream, failed=_failed, path=re.compile("/projects/")),
    Shape("gemini.generate", "gemini", _whole, _content_stream, failed=_failed),
    Shape("gemini.embed", "gemini", _embedding, path=re.compile(r":embedContent$")),
    Shape("gemini.embed", "gemini", _embeddings, path=re.compile(r":batchEmbedContents$")),
    Shape("gemini.count_tokens", "gemini", _count, path=re.compile(r":countTokens$")),
    # Vertex's alone
    Shape("gemini.count_tokens", "vertex", _compute, path=re.compile(r":computeTokens$")),
)
