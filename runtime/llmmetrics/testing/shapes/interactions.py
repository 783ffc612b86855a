"""Gemini's interactions. https://ai.google.dev/api/interactions-api, https://ai.google.dev/gemini-api/docs/streaming."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llmmetrics.testing.messages.model import Answer, Request
from llmmetrics.testing.messages.provider_errors import Refusal
from llmmetrics.testing.shapes import gemini
from llmmetrics.testing.shapes.base import Doc, Shape, model, sse, with_usage

_WHEN = {"created": "2026-01-01T00:00:00Z", "updated": "2026-01-01T00:00:00Z"}


def _usage(answer: Answer) -> Doc:
    return {
        "total_input_tokens": answer.prompt_tokens,
        "input_tokens_by_modality": [{"modality": "text", "tokens": answer.prompt_tokens}],
        "total_cached_tokens": answer.cache_read,
        "total_output_tokens": answer.completion_tokens - answer.reasoning,
        "total_tool_use_tokens": 0,
        "total_thought_tokens": answer.reasoning,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }


def _begun(request: Request, answer: Answer) -> Doc:
    return {"id": "v1_1", "object": "interaction", "model": model(request, answer), "status": "in_progress"}


def _ended(request: Request, answer: Answer) -> Doc:
    doc = {**_begun(request, answer), "status": "completed", **_WHEN}
    return with_usage(doc, answer, "usage", _usage(answer))


def _interaction(request: Request, answer: Answer) -> Doc:
    step = {"type": "model_output", "content": [{"type": "text", "text": answer.text}]}
    return {**_ended(request, answer), "steps": [step]}


def _event(kind: str, **fields: Any) -> bytes:
    return sse({**fields, "event_type": kind}, kind)


def _stream(request: Request, answer: Answer) -> Iterator[bytes]:
    yield _event("interaction.created", interaction=_begun(request, answer))
    yield _event("interaction.status_update", interaction_id="v1_1", status="in_progress")
    yield _event("step.start", index=0, step={"type": "model_output"})
    for piece in answer.deltas:
        yield _event("step.delta", index=0, delta={"type": "text", "text": piece})
    yield _event("step.stop", index=0)
    yield _event("interaction.completed", interaction=_ended(request, answer))
    yield b"event: done\ndata: [DONE]\n\n"


def _failed(_: Request, refusal: Refusal) -> bytes:
    # a reason stands after the status
    return _event("error", error={"code": refusal.code.partition("/")[0], "message": refusal.message})


SHAPES = (Shape("gemini.interactions", gemini.ERRORS, _interaction, _stream, failed=_failed),)
