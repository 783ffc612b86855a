"""Cohere's shapes, version 2, and what both versions have: embeddings, reranking, tokenizing.

https://docs.cohere.com/reference/chat-stream, https://docs.cohere.com/reference/embed,
https://docs.cohere.com/reference/rerank, https://docs.cohere.com/reference/tokenize.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from llmmetrics.testing.messages.model import Answer, Request
from llmmetrics.testing.messages.provider_errors import ProviderErrors, Refusal, wrapped
from llmmetrics.testing.shapes.base import VECTOR, Doc, Shape, inputs, sse, with_usage


def _usage(answer: Answer) -> Doc:
    counts = {"input_tokens": answer.prompt_tokens, "output_tokens": answer.completion_tokens}
    return {"billed_units": counts, "tokens": counts, "cached_tokens": answer.cache_read}


def _chat(_: Request, answer: Answer) -> Doc:
    message: Doc = {"role": "assistant", "content": [{"type": "text", "text": answer.text}]}
    if answer.tool:
        # https://docs.cohere.com/docs/tool-use-overview: the plan tells what the model will do
        function = {"name": answer.tool.name, "arguments": json.dumps(answer.tool.arguments)}
        call = {"id": "call_1", "type": "function", "function": function}
        message = {"role": "assistant", "tool_plan": answer.text, "tool_calls": [call]}
    doc = {"id": "c-1", "finish_reason": "TOOL_CALL" if answer.tool else "COMPLETE", "message": message}
    return with_usage(doc, answer, "usage", _usage(answer))


def _event(kind: str, **fields: Any) -> bytes:
    return sse({"type": kind, **fields}, kind)


def _chat_stream(_: Request, answer: Answer) -> Iterator[bytes]:
    start = {"message": {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}}
    yield _event("message-start", id="c-1", delta=start)
    yield _event("content-start", index=0, delta={"message": {"content": {"type": "text", "text": ""}}})
    for piece in answer.deltas:
        yield _event("content-delta", index=0, delta={"message": {"content": {"text": piece}}})
    yield _event("content-end", index=0)
    usage = {"usage": _usage(answer)} if answer.usage else {}
    yield _event("message-end", delta={"finish_reason": "COMPLETE", **usage})
    yield b"data: [DONE]\n\n"


def _chat_failed(_: Request, refusal: Refusal) -> bytes:
    return _event("message-end", delta={"finish_reason": "ERROR", "error": refusal.message})


def meta(request: Request, answer: Answer, counts: Doc) -> Doc:
    """Return the `meta` of version 1; version 2 has it too, but for chat."""
    version = {"api_version": {"version": "2" if "/v2/" in request.place else "1"}}
    return {**version, **counts} if answer.usage else version


def _embed(request: Request, answer: Answer) -> Doc:
    texts = inputs(request, "texts", "inputs", "images")
    vectors = [VECTOR for _ in texts]
    by_type = "/v2/" in request.place or "embedding_types" in request.json
    return {
        "id": "e-1",
        "response_type": "embeddings_by_type" if by_type else "embeddings_floats",
        "embeddings": {"float": vectors} if by_type else vectors,
        "texts": [each for each in texts if isinstance(each, str)],
        "meta": meta(request, answer, {"billed_units": {"input_tokens": answer.prompt_tokens}}),
    }


def _rerank(request: Request, answer: Answer) -> Doc:
    results = [{"index": at, "relevance_score": 0.5} for at, _ in enumerate(inputs(request, "documents"))]
    return {"id": "r-1", "results": results, "meta": meta(request, answer, {"billed_units": {"search_units": 1}})}


def _tokenize(request: Request, answer: Answer) -> Doc:
    numbers = list(range(answer.prompt_tokens))
    return {"tokens": numbers, "token_strings": ["x" for _ in numbers], "meta": meta(request, answer, {})}


ERRORS = ProviderErrors(
    "cohere",
    {},
    lambda _http, _code, message: {"id": "simulated", "message": message},
    {"content_filtered": 498},
    in_band=wrapped,
)


SHAPES = (
    Shape("cohere.v2.chat", ERRORS, _chat, _chat_stream, failed=_chat_failed),
    Shape("cohere.embed", ERRORS, _embed),
    Shape("rerank", ERRORS, _rerank),
    Shape("cohere.count_tokens", ERRORS, _tokenize),
)
