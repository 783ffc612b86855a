"""Cohere's chat, version 1, and its predecessor. https://docs.cohere.com/v1/reference/chat-stream and …/generate."""

from __future__ import annotations

import re
from collections.abc import Iterator

from llmmetrics.testing.messages.model import Answer, Request
from llmmetrics.testing.messages.provider_errors import Refusal
from llmmetrics.testing.shapes import cohere
from llmmetrics.testing.shapes.base import Doc, Shape, line
from llmmetrics.testing.shapes.cohere import meta

_STREAM = "application/stream+json"


def _counts(answer: Answer) -> Doc:
    counts = {"input_tokens": answer.prompt_tokens, "output_tokens": answer.completion_tokens}
    return {"billed_units": counts, "tokens": counts, "cached_tokens": answer.cache_read}


def _chat(request: Request, answer: Answer) -> Doc:
    return {
        "text": answer.text,
        "generation_id": "g-1",
        "response_id": "r-1",
        "chat_history": [
            {"role": "USER", "message": str(request.json.get("message", ""))},
            {"role": "CHATBOT", "message": answer.text},
        ],
        "finish_reason": "COMPLETE",
        "meta": meta(request, answer, _counts(answer)),
    }


def _event(kind: str, **fields: object) -> bytes:
    return line({"is_finished": kind in ("stream-end", "stream-error"), "event_type": kind, **fields})


def _chat_stream(request: Request, answer: Answer) -> Iterator[bytes]:
    yield _event("stream-start", generation_id="g-1")
    for piece in answer.deltas:
        yield _event("text-generation", text=piece)
    yield _event("stream-end", finish_reason="COMPLETE", response=_chat(request, answer))


def _chat_failed(_: Request, refusal: Refusal) -> bytes:
    response = {"text": "", "generation_id": "g-1", "finish_reason": "ERROR"}
    return _event("stream-end", finish_reason="ERROR", response=response, error=refusal.message)


def _generation(request: Request, answer: Answer) -> Doc:
    generation = {"id": "g-1", "text": answer.text, "finish_reason": "COMPLETE"}
    return {"id": "r-1", "generations": [generation], "prompt": str(request.json.get("prompt", ""))}


def _generate(request: Request, answer: Answer) -> Doc:
    return {**_generation(request, answer), "meta": meta(request, answer, _counts(answer))}


def _generate_stream(request: Request, answer: Answer) -> Iterator[bytes]:
    for piece in answer.deltas:
        yield _event("text-generation", text=piece)
    # a stream carries no usage
    yield _event("stream-end", finish_reason="COMPLETE", response=_generation(request, answer))


def _generate_failed(_: Request, refusal: Refusal) -> bytes:
    return _event("stream-error", finish_reason="ERROR", err=refusal.message)


SHAPES = (
    Shape(
        *("cohere.v1.chat", cohere.ERRORS, _chat, _chat_stream, _STREAM, _chat_failed),
        path=re.compile(r"/v1/chat/?$"),
    ),
    Shape(
        *("cohere.v1.chat", cohere.ERRORS, _generate, _generate_stream, _STREAM, _generate_failed),
        path=re.compile(r"/v1/generate/?$"),
    ),
)
