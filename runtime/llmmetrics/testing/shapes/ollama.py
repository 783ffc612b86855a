"""Ollama's shapes. https://github.com/ollama/ollama/blob/main/docs/api.md."""

from __future__ import annotations

from collections.abc import Iterator

from llmmetrics.testing.messages.model import Answer, Request
from llmmetrics.testing.messages.provider_errors import ProviderErrors, Refusal
from llmmetrics.testing.shapes.base import VECTOR, Doc, Shape, inputs, line, model

_STREAM = "application/x-ndjson"


def _message(answer: Answer, text: str) -> Doc:
    message: Doc = {"role": "assistant", "content": text}
    if not answer.tool:
        return message
    # https://docs.ollama.com/capabilities/tool-calling: the arguments are an object
    function = {"name": answer.tool.name, "arguments": dict(answer.tool.arguments)}
    return {**message, "content": "", "tool_calls": [{"function": function}]}


def _ollama(request: Request, answer: Answer, text: str, *, done: bool = True) -> Doc:
    part: Doc = {"response": text} if request.path.endswith("generate") else {"message": _message(answer, text)}
    doc = {"model": model(request, answer), "created_at": "2026-01-01T00:00:00Z", **part, "done": done}
    if not done:
        return doc
    counts = {"prompt_eval_count": answer.prompt_tokens, "eval_count": answer.completion_tokens}
    times = {"total_duration": 5_000_000, "load_duration": 1_000_000, "eval_duration": 3_000_000}
    return {**doc, "done_reason": "stop", **times, **(counts if answer.usage else {})}


def _stream(request: Request, answer: Answer) -> Iterator[bytes]:
    for piece in answer.deltas:
        yield line(_ollama(request, answer, piece, done=False))
    yield line(_ollama(request, answer, ""))


def _whole(request: Request, answer: Answer) -> Doc:
    return _ollama(request, answer, answer.text)


def _failed(_: Request, refusal: Refusal) -> bytes:
    return line(refusal.body)


def _embed(request: Request, answer: Answer) -> Doc:
    vectors = [VECTOR for _ in inputs(request, "input")]
    doc = {"model": model(request, answer), "embeddings": vectors, "total_duration": 5_000_000, "load_duration": 1_000}
    return {**doc, "prompt_eval_count": answer.prompt_tokens} if answer.usage else doc


ERRORS = ProviderErrors(
    "ollama", {}, lambda _http, _code, message: {"error": message}, cannot=frozenset(["content_filtered", "overloaded"])
)


SHAPES = (
    Shape("ollama.chat", ERRORS, _whole, _stream, _STREAM, _failed),
    Shape("ollama.generate", ERRORS, _whole, _stream, _STREAM, _failed),
    # other servers have /api/embeddings too: OpenAI's shape answers it
    Shape("ollama.embed", ERRORS, _embed),
)
