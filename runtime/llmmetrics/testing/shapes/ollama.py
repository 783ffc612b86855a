"""Ollama's shapes. https://github.com/ollama/ollama/blob/main/docs/api.md."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from llmmetrics.testing.messages import Answer, Request
from llmmetrics.testing.shapes.base import Doc, Shape, model


def _message(answer: Answer, text: str) -> Doc:
    message: Doc = {"role": "assistant", "content": text}
    if not answer.tool:
        return message
    # https://docs.ollama.com/capabilities/tool-calling: the arguments are an object
    function = {"name": answer.tool.name, "arguments": dict(answer.tool.arguments)}
    return {**message, "content": "", "tool_calls": [{"function": function}]}


def _ollama(request: Request, answer: Answer, text: str, *, done: bool = True) -> Doc:
    said: Doc = {"response": text} if request.path.endswith("generate") else {"message": _message(answer, text)}
    doc = {"model": model(request, answer), "created_at": "2026-01-01T00:00:00Z", **said, "done": done}
    if not done:
        return doc
    counts = {"prompt_eval_count": answer.prompt_tokens, "eval_count": answer.completion_tokens}
    times = {"total_duration": 5_000_000, "load_duration": 1_000_000, "eval_duration": 3_000_000}
    return {**doc, "done_reason": "stop", **times, **(counts if answer.usage else {})}


def _ollama_stream(request: Request, answer: Answer) -> Iterator[bytes]:
    for piece in answer.deltas:
        yield json.dumps(_ollama(request, answer, piece, done=False)).encode() + b"\n"
    yield json.dumps(_ollama(request, answer, "")).encode() + b"\n"


def _whole(request: Request, answer: Answer) -> Doc:
    return _ollama(request, answer, answer.text)


SHAPES = (Shape(re.compile(r"/api/(?:chat|generate)$"), "ollama", _whole, _ollama_stream, "application/x-ndjson"),)
