"""Shapes of what is billed and is no text in, text out: images, transcriptions, conversations, decisions.

https://platform.openai.com/docs/api-reference/images, …/audio, …/decisions, https://docs.mistral.ai/api/endpoint/beta/conversations.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llmmetrics.testing.messages.model import Answer, Request
from llmmetrics.testing.shapes import openai
from llmmetrics.testing.shapes.base import CREATED, Doc, Shape, model, sse, with_usage

PIXEL = "iVBORw0KGgo="
"""Every image: the first bytes of a PNG."""


def _used(answer: Answer, inward: str, kind: str) -> Doc:
    """Return a usage of tokens; all input is of one kind."""
    return {
        "input_tokens": answer.prompt_tokens,
        inward: {kind: answer.prompt_tokens},
        "output_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }


def _event(kind: str, **fields: Any) -> bytes:
    return sse({"type": kind, **fields}, kind)


def _images(request: Request, answer: Answer) -> Doc:
    n = request.json.get("n", 1)
    doc = {"created": CREATED, "data": [{"b64_json": PIXEL}] * (n if isinstance(n, int) else 1)}
    return with_usage(doc, answer, "usage", _used(answer, "input_tokens_details", "text_tokens"))


def _image_stream(request: Request, answer: Answer) -> Iterator[bytes]:
    yield _event("image_generation.partial_image", b64_json=PIXEL, partial_image_index=0)
    whole = _images(request, answer)
    yield _event("image_generation.completed", b64_json=PIXEL, **{k: v for k, v in whole.items() if k == "usage"})


def _transcription(_: Request, answer: Answer) -> Doc:
    used = {"type": "tokens", **_used(answer, "input_token_details", "audio_tokens")}
    return with_usage({"text": answer.text}, answer, "usage", used)


def _transcription_stream(request: Request, answer: Answer) -> Iterator[bytes]:
    for piece in answer.deltas:
        yield _event("transcript.text.delta", delta=piece)
    yield _event("transcript.text.done", **_transcription(request, answer))


def _tokens(answer: Answer) -> Doc:
    total = answer.prompt_tokens + answer.completion_tokens
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": total,
    }


def _conversation(request: Request, answer: Answer) -> Doc:
    said = {"type": "message.output", "role": "assistant", "content": answer.text, "model": model(request, answer)}
    doc = {"object": "conversation.response", "conversation_id": "conv_1", "outputs": [said]}
    return with_usage(doc, answer, "usage", _tokens(answer))


def _conversation_stream(_: Request, answer: Answer) -> Iterator[bytes]:
    yield _event("conversation.response.started", conversation_id="conv_1")
    for piece in answer.deltas:
        yield _event("message.output.delta", content=piece, role="assistant", id="msg_1")
    yield _event("conversation.response.done", **with_usage({}, answer, "usage", _tokens(answer)))


def _decision(request: Request, answer: Answer) -> Doc:
    decided: Doc = {"type": "choice", "name": None, "choice": answer.text, "confidence": 1.0, "probabilities": []}
    doc = {"answers": [decided], "model": model(request, answer)}
    return with_usage(doc, answer, "usage", openai.responses_usage(answer))


SHAPES = (
    Shape("openai.images", openai.ERRORS, _images, _image_stream),
    Shape("openai.transcription", openai.ERRORS, _transcription, _transcription_stream),
    Shape("mistral.conversations", openai.ERRORS, _conversation, _conversation_stream),
    Shape("decisions", openai.ERRORS, _decision),
)
