"""watsonx's shapes: its own, and a chat like OpenAI's. https://cloud.ibm.com/apidocs/watsonx-ai."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llmmetrics.testing.messages.model import Answer, Request
from llmmetrics.testing.messages.provider_errors import NO_FILTER, ProviderErrors, wrapped
from llmmetrics.testing.shapes import openai
from llmmetrics.testing.shapes.base import VECTOR, Doc, Shape, inputs, model, sse

_BASE = {"created_at": "2026-01-01T00:00:00.000Z"}


def _generation(request: Request, answer: Answer, text: str, reason: str, counts: Doc) -> Doc:
    result = {"generated_text": text, **(counts if answer.usage else {}), "stop_reason": reason}
    return {"model_id": model(request, answer), **_BASE, "results": [result]}


def _counts(prompt: int, completion: int) -> Doc:
    return {"input_token_count": prompt, "generated_token_count": completion}


def _whole(request: Request, answer: Answer) -> Doc:
    counts = _counts(answer.prompt_tokens, answer.completion_tokens)
    return _generation(request, answer, answer.text, "eos_token", counts)


def _stream(request: Request, answer: Answer) -> Iterator[bytes]:
    # only the first event has the prompt's count; each has the count of the text so far
    yield sse(_generation(request, answer, "", "not_finished", _counts(answer.prompt_tokens, 0)), "message")
    for piece in answer.deltas:
        yield sse(_generation(request, answer, piece, "not_finished", _counts(0, 0)), "message")
    yield sse(_generation(request, answer, "", "eos_token", _counts(0, answer.completion_tokens)), "message")


def _named(doc: Doc) -> Doc:
    """Return OpenAI's document with watsonx's name of the model field."""
    return {"model_id": doc["model"], **{name: value for name, value in doc.items() if name != "model"}, **_BASE}


def _chat(request: Request, answer: Answer) -> Doc:
    return _named(openai.chat(request, answer))


def _chat_stream(request: Request, answer: Answer) -> Iterator[bytes]:
    for doc in openai.chat_chunks(request, answer):
        yield sse(_named(doc), "message")
    if answer.usage:
        yield sse(_named({**doc, "choices": [], "usage": openai.usage(answer)}), "message")


def _embed(request: Request, answer: Answer) -> Doc:
    doc = {
        "model_id": model(request, answer),
        **_BASE,
        "results": [{"embedding": VECTOR} for _ in inputs(request, "inputs")],
    }
    return {**doc, "input_token_count": answer.prompt_tokens} if answer.usage else doc


def _error(http: int, code: str, message: str) -> Any:
    return {"errors": [{"code": code, "message": message}], "trace": "simulated", "status_code": http}


ERRORS = ProviderErrors(
    "watsonx",
    {
        "rate_limit": "rate_limit_reached_requests",
        "rate_limit_bare": "rate_limit_reached_requests",
        "insufficient_quota": "token_quota_reached",
        "bad_key": "authentication_token_not_valid",
        "forbidden": "authorization_rejected",
        "not_found": "model_not_supported",
        "context_too_long": "invalid_input_argument",
    },
    _error,
    {"overloaded": 503},
    NO_FILTER,
    "downstream_request_failed",
    in_band=wrapped,
)


SHAPES = (
    Shape("watsonx.generate", ERRORS, _whole, _stream),
    Shape("watsonx.chat", ERRORS, _chat, _chat_stream),
    Shape("watsonx.embed", ERRORS, _embed),
)
