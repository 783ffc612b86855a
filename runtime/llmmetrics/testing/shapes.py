"""The simulated provider's answers in each provider's own shape: a whole body, or a stream's events.

From the providers' public references: https://platform.openai.com/docs/api-reference,
https://docs.anthropic.com/en/api/messages-streaming, https://ai.google.dev/api/generate-content,
https://docs.cohere.com/reference/chat-stream, https://github.com/ollama/ollama/blob/main/docs/api.md.
Ids and times are fixed, so that an answer is a function of its request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from llmmetrics.testing.messages import Answer, Request

CREATED = 1_767_225_600
"""2026-01-01T00:00:00Z, in seconds."""
_WHEN = "2026-01-01T00:00:00Z"

Doc = dict[str, Any]


def _sse(doc: Doc, event: str | None = None) -> bytes:
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(doc)}\n\n".encode()


def _line(doc: Doc) -> bytes:
    return json.dumps(doc).encode() + b"\n"


# OpenAI


def _openai_usage(answer: Answer) -> Doc:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning, "audio_tokens": 0},
    }


def _with_usage(doc: Doc, answer: Answer, name: str, usage: Callable[[Answer], Doc]) -> Doc:
    return {**doc, name: usage(answer)} if answer.usage else doc


def _chat(request: Request, answer: Answer) -> Doc:
    choice = {"index": 0, "message": {"role": "assistant", "content": answer.text}, "finish_reason": "stop"}
    base = {"id": "chatcmpl-1", "object": "chat.completion", "created": CREATED}
    return _with_usage({**base, "model": _model(request, answer), "choices": [choice]}, answer, "usage", _openai_usage)


def _model(request: Request, answer: Answer) -> str:
    return answer.model or request.model


def _chat_stream(request: Request, answer: Answer) -> Iterator[bytes]:
    base: Doc = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": CREATED}
    base["model"] = _model(request, answer)
    asked = (request.json.get("stream_options") or {}).get("include_usage") is True
    if asked:
        base["usage"] = None

    def chunk(delta: Doc, finish: str | None = None) -> bytes:
        return _sse({**base, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    yield chunk({"role": "assistant", "content": ""})
    for piece in answer.deltas:
        yield chunk({"content": piece})
    yield chunk({}, "stop")
    if asked and answer.usage:
        yield _sse({**base, "choices": [], "usage": _openai_usage(answer)})
    yield b"data: [DONE]\n\n"


def _completion(request: Request, answer: Answer) -> Doc:
    doc = {"id": "cmpl-1", "object": "text_completion", "created": CREATED, "model": _model(request, answer)}
    choices = [{"index": 0, "text": answer.text, "logprobs": None, "finish_reason": "stop"}]
    return _with_usage({**doc, "choices": choices}, answer, "usage", _openai_usage)


def _completion_stream(request: Request, answer: Answer) -> Iterator[bytes]:
    base = {"id": "cmpl-1", "object": "text_completion", "created": CREATED, "model": _model(request, answer)}
    for piece in answer.deltas:
        yield _sse({**base, "choices": [{"index": 0, "text": piece, "logprobs": None, "finish_reason": None}]})
    if (request.json.get("stream_options") or {}).get("include_usage") is True and answer.usage:
        yield _sse({**base, "choices": [], "usage": _openai_usage(answer)})
    yield b"data: [DONE]\n\n"


def _embeddings(request: Request, answer: Answer) -> Doc:
    given = request.json.get("input", "")
    texts = given if isinstance(given, list) else [given]
    data = [{"object": "embedding", "index": index, "embedding": [0.25, -0.5]} for index, _ in enumerate(texts)]
    doc = {"object": "list", "data": data, "model": _model(request, answer)}
    usage = {"prompt_tokens": answer.prompt_tokens, "total_tokens": answer.prompt_tokens}
    return _with_usage(doc, answer, "usage", lambda _: usage)


def _responses_usage(answer: Answer) -> Doc:
    return {
        "input_tokens": answer.prompt_tokens,
        "input_tokens_details": {"cached_tokens": answer.cache_read},
        "output_tokens": answer.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": answer.reasoning},
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }


def _response(request: Request, answer: Answer, status: str = "completed") -> Doc:
    part = {"type": "output_text", "text": answer.text, "annotations": []}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    return {
        **{"id": "resp_1", "object": "response", "created_at": CREATED, "status": status, "error": None},
        **{"incomplete_details": None, "instructions": None, "metadata": {}, "model": _model(request, answer)},
        **{"output": [message] if status == "completed" else [], "parallel_tool_calls": True, "temperature": 1.0},
        **{"tool_choice": "auto", "tools": [], "top_p": 1.0},
        "usage": _responses_usage(answer) if answer.usage and status == "completed" else None,
    }


def _response_stream(request: Request, answer: Answer) -> Iterator[bytes]:
    numbers = iter(range(1_000_000))

    def event(kind: str, **fields: Any) -> bytes:
        return _sse({"type": kind, **fields, "sequence_number": next(numbers)}, kind)

    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    yield event("response.created", response=_response(request, answer, "in_progress"))
    yield event("response.output_item.added", output_index=0, item=item)
    yield event(
        "response.content_part.added", **at, part={"type": "output_text", "text": "", "annotations": []}
    )
    for piece in answer.deltas:
        yield event("response.output_text.delta", **at, delta=piece, logprobs=[])
    yield event("response.output_text.done", **at, text=answer.text, logprobs=[])
    yield event("response.completed", response=_response(request, answer))


# Anthropic


def _anthropic_usage(answer: Answer) -> Doc:
    return {
        "input_tokens": answer.prompt_tokens - answer.cache_read - answer.cache_write,
        "cache_creation_input_tokens": answer.cache_write,
        "cache_read_input_tokens": answer.cache_read,
        "output_tokens": answer.completion_tokens,
    }


def _message(request: Request, answer: Answer) -> Doc:
    return {
        **{"id": "msg_1", "type": "message", "role": "assistant", "model": _model(request, answer)},
        **{"content": [{"type": "text", "text": answer.text}], "stop_reason": "end_turn", "stop_sequence": None},
        **({"usage": _anthropic_usage(answer)} if answer.usage else {}),
    }


def _message_stream(request: Request, answer: Answer) -> Iterator[bytes]:
    def event(kind: str, **fields: Any) -> bytes:
        return _sse({"type": kind, **fields}, kind)

    start = {**_message(request, answer), "content": [], "stop_reason": None}
    if answer.usage:
        start["usage"] = {**_anthropic_usage(answer), "output_tokens": 1}
    yield event("message_start", message=start)
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    yield event("ping")
    for piece in answer.deltas:
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
    yield event("content_block_stop", index=0)
    usage = {"usage": {"output_tokens": answer.completion_tokens}} if answer.usage else {}
    yield event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, **usage)
    yield event("message_stop")


# Gemini


def _gemini_usage(answer: Answer) -> Doc:
    return {
        "promptTokenCount": answer.prompt_tokens,
        "candidatesTokenCount": answer.completion_tokens - answer.reasoning,
        "totalTokenCount": answer.prompt_tokens + answer.completion_tokens,
        **({"thoughtsTokenCount": answer.reasoning} if answer.reasoning else {}),
        **({"cachedContentTokenCount": answer.cache_read} if answer.cache_read else {}),
    }


def _content(request: Request, answer: Answer, text: str, *, last: bool = True) -> Doc:
    candidate: Doc = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if last:
        candidate["finishReason"] = "STOP"
    doc = {"candidates": [candidate], "modelVersion": _model(request, answer), "responseId": "r-1"}
    return _with_usage(doc, answer, "usageMetadata", _gemini_usage) if last else doc


def _content_stream(request: Request, answer: Answer) -> Iterator[bytes]:
    pieces = answer.deltas
    docs = [_content(request, answer, piece, last=n == len(pieces)) for n, piece in enumerate(pieces, 1)]
    if "alt=sse" in request.query:
        yield from map(_sse, docs)
        return
    # without alt=sse the stream is one JSON array, an element a chunk
    for n, doc in enumerate(docs):
        yield (b"," if n else b"[") + json.dumps(doc).encode() + b"\n"
    yield b"]"


# Cohere


def _cohere_usage(answer: Answer) -> Doc:
    counts = {"input_tokens": answer.prompt_tokens, "output_tokens": answer.completion_tokens}
    return {"billed_units": counts, "tokens": counts, "cached_tokens": answer.cache_read}


def _cohere(request: Request, answer: Answer) -> Doc:
    message = {"role": "assistant", "content": [{"type": "text", "text": answer.text}]}
    doc = {"id": "c-1", "finish_reason": "COMPLETE", "message": message}
    return _with_usage(doc, answer, "usage", _cohere_usage)


def _cohere_stream(request: Request, answer: Answer) -> Iterator[bytes]:
    def event(kind: str, **fields: Any) -> bytes:
        return _sse({"type": kind, **fields}, kind)

    start = {"message": {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}}
    yield event("message-start", id="c-1", delta=start)
    yield event("content-start", index=0, delta={"message": {"content": {"type": "text", "text": ""}}})
    for piece in answer.deltas:
        yield event("content-delta", index=0, delta={"message": {"content": {"text": piece}}})
    yield event("content-end", index=0)
    usage = {"usage": _cohere_usage(answer)} if answer.usage else {}
    yield event("message-end", delta={"finish_reason": "COMPLETE", **usage})


# Ollama


def _ollama(request: Request, answer: Answer, text: str, *, done: bool = True) -> Doc:
    said = {"response": text} if request.path.endswith("generate") else {"message": {"role": "assistant", "content": text}}
    doc = {"model": _model(request, answer), "created_at": _WHEN, **said, "done": done}
    if not done:
        return doc
    counts = {"prompt_eval_count": answer.prompt_tokens, "eval_count": answer.completion_tokens}
    times = {"total_duration": 5_000_000, "load_duration": 1_000_000, "eval_duration": 3_000_000}
    return {**doc, "done_reason": "stop", **times, **(counts if answer.usage else {})}


def _ollama_stream(request: Request, answer: Answer) -> Iterator[bytes]:
    for piece in answer.deltas:
        yield _line(_ollama(request, answer, piece, done=False))
    yield _line(_ollama(request, answer, ""))


class Shape(NamedTuple):
    """One wire format of the simulated provider."""

    path: re.Pattern[str]
    vendor: str
    body: Callable[[Request, Answer], Doc]
    events: Callable[[Request, Answer], Iterator[bytes]] | None = None
    content_type: str = "text/event-stream"


SHAPES = (
    Shape(re.compile(r"/chat/completions$"), "openai", _chat, _chat_stream),
    Shape(re.compile(r"/completions$"), "openai", _completion, _completion_stream),
    Shape(re.compile(r"/responses$"), "openai", _response, _response_stream),
    Shape(re.compile(r"/embeddings$"), "openai", _embeddings),
    Shape(re.compile(r"/v1/messages$"), "anthropic", _message, _message_stream),
    Shape(
        re.compile(r":(?:streamG|g)enerateContent$"),
        "gemini",
        lambda request, answer: _content(request, answer, answer.text),
        _content_stream,
    ),
    Shape(re.compile(r"/v2/chat$"), "cohere", _cohere, _cohere_stream),
    Shape(
        re.compile(r"/api/(?:chat|generate)$"),
        "ollama",
        lambda request, answer: _ollama(request, answer, answer.text),
        _ollama_stream,
        "application/x-ndjson",
    ),
)
"""By the end of the path, so that any prefix will do: /openai/v1/chat/completions."""
