"""OpenAI's shapes; makers on Vertex and Bedrock answer with them too.

https://platform.openai.com/docs/api-reference; https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from llmmetrics.testing.messages.model import Answer, Request
from llmmetrics.testing.messages.provider_errors import ProviderErrors, Refusal
from llmmetrics.testing.shapes.base import CREATED, VECTOR, Doc, Shape, inputs, model, sse, with_usage


def usage(answer: Answer) -> Doc:
    """Return the usage of a chat completion."""
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning, "audio_tokens": 0},
    }


_UNASKED = re.compile(r"^[^/]*/(?:groq|mistral)/|^api\.(?:groq\.com|mistral\.ai)/|/publishers/")
"""Groq and Mistral send a stream's usage unasked: so do paths that begin with their name, and Mistral on Vertex.

https://console.groq.com/docs/api-reference, https://docs.mistral.ai/api.
"""


def _asks_for_usage(request: Request) -> bool:
    if _UNASKED.search(request.place):
        return True
    options = request.json.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def chat(request: Request, answer: Answer) -> Doc:
    """Return a chat completion."""
    message: Doc = {"role": "assistant", "content": answer.text}
    if answer.tool:
        # https://platform.openai.com/docs/guides/function-calling: the arguments are JSON in a string
        function = {"name": answer.tool.name, "arguments": json.dumps(answer.tool.arguments)}
        call = {"id": "call_1", "type": "function", "function": function}
        message = {**message, "content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if answer.tool else "stop"}
    base = {"id": "chatcmpl-1", "object": "chat.completion", "created": CREATED}
    return with_usage({**base, "model": model(request, answer), "choices": [choice]}, answer, "usage", usage(answer))


def chat_chunks(request: Request, answer: Answer) -> Iterator[Doc]:
    """Yield a streamed chat completion's chunks, up to the one with the finish reason."""
    base: Doc = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": CREATED}
    base["model"] = model(request, answer)

    def chunk(delta: Doc, finish: str | None = None) -> Doc:
        return {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    yield chunk({"role": "assistant", "content": ""})
    for piece in answer.deltas:
        yield chunk({"content": piece})
    yield chunk({}, "stop")


def chat_stream(request: Request, answer: Answer) -> Iterator[bytes]:
    """Yield a streamed chat completion."""
    wants_usage = _asks_for_usage(request)
    doc: Doc = {}
    for doc in chat_chunks(request, answer):
        yield sse({**doc, "usage": None} if wants_usage else doc)
    if wants_usage and answer.usage:
        yield sse({**doc, "choices": [], "usage": usage(answer)})
    yield b"data: [DONE]\n\n"


def _completion(request: Request, answer: Answer) -> Doc:
    doc = {"id": "cmpl-1", "object": "text_completion", "created": CREATED, "model": model(request, answer)}
    choices = [{"index": 0, "text": answer.text, "logprobs": None, "finish_reason": "stop"}]
    return with_usage({**doc, "choices": choices}, answer, "usage", usage(answer))


def _completion_stream(request: Request, answer: Answer) -> Iterator[bytes]:
    base: Doc = {"id": "cmpl-1", "object": "text_completion", "created": CREATED, "model": model(request, answer)}
    wants_usage = _asks_for_usage(request)
    if wants_usage:
        base["usage"] = None

    def chunk(text: str, finish: str | None = None) -> bytes:
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
        return sse({**base, "choices": [choice]})

    for piece in answer.deltas:
        yield chunk(piece)
    yield chunk("", "stop")
    if wants_usage and answer.usage:
        yield sse({**base, "choices": [], "usage": usage(answer)})
    yield b"data: [DONE]\n\n"


def _embeddings(request: Request, answer: Answer) -> Doc:
    data = [
        {"object": "embedding", "index": index, "embedding": VECTOR} for index, _ in enumerate(inputs(request, "input"))
    ]
    doc = {"object": "list", "data": data, "model": model(request, answer)}
    usage = {"prompt_tokens": answer.prompt_tokens, "total_tokens": answer.prompt_tokens}
    return with_usage(doc, answer, "usage", usage)


def responses_usage(answer: Answer) -> Doc:
    """Return the usage of a response."""
    return {
        "input_tokens": answer.prompt_tokens,
        "input_tokens_details": {"cached_tokens": answer.cache_read},
        "output_tokens": answer.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": answer.reasoning},
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }


def response(request: Request, answer: Answer, status: str = "completed") -> Doc:
    """Return a response."""
    part = {"type": "output_text", "text": answer.text, "annotations": []}
    item: Doc = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    if answer.tool:
        item = {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1"}
        item |= {"name": answer.tool.name, "arguments": json.dumps(answer.tool.arguments)}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": model(request, answer),
        "output": [item] if status == "completed" else [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": responses_usage(answer) if answer.usage and status == "completed" else None,
    }


def response_events(request: Request, answer: Answer) -> Iterator[Doc]:
    """Yield the events of a response."""
    numbers = iter(range(1_000_000))

    def event(kind: str, **fields: Any) -> Doc:
        return {"type": kind, **fields, "sequence_number": next(numbers)}

    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    whole = response(request, answer)
    (output,) = whole["output"]
    for kind in ("response.created", "response.in_progress"):
        yield event(kind, response=response(request, answer, "in_progress"))
    yield event("response.output_item.added", output_index=0, item=item)
    yield event("response.content_part.added", **at, part={"type": "output_text", "text": "", "annotations": []})
    for piece in answer.deltas:
        yield event("response.output_text.delta", **at, delta=piece, logprobs=[])
    yield event("response.output_text.done", **at, text=answer.text, logprobs=[])
    yield event("response.content_part.done", **at, part=output["content"][0])
    yield event("response.output_item.done", output_index=0, item=output)
    yield event("response.completed", response=whole)


def _response_stream(request: Request, answer: Answer) -> Iterator[bytes]:
    return (sse(each, each["type"]) for each in response_events(request, answer))


def _response_failed(_: Request, refusal: Refusal) -> bytes:
    error = {"code": refusal.code, "message": refusal.message}
    failed = {"id": "resp_1", "object": "response", "status": "failed", "error": error, "output": []}
    return sse({"type": "response.failed", "sequence_number": 2, "response": failed}, "response.failed")


def _count(_: Request, answer: Answer) -> Doc:
    return {"object": "response.input_tokens", "input_tokens": answer.prompt_tokens}


_OPENAI_TYPES = {
    "rate_limit_exceeded": "requests",
    "insufficient_quota": "insufficient_quota",
    "unsupported_country_region_territory": "request_forbidden",
    "server_error": "server_error",
}


def _error(_: int, code: str, message: str) -> Any:
    kind = _OPENAI_TYPES.get(code, "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


ERRORS = ProviderErrors(
    "openai",
    {
        "rate_limit": "rate_limit_exceeded",
        "rate_limit_bare": "rate_limit_exceeded",
        "insufficient_quota": "insufficient_quota",
        "bad_key": "invalid_api_key",
        "forbidden": "unsupported_country_region_territory",
        "not_found": "model_not_found",
        "context_too_long": "context_length_exceeded",
        "content_filtered": "content_filter",
    },
    _error,
    plain="server_error",
)


SHAPES = (
    Shape("openai.chat", ERRORS, chat, chat_stream),
    Shape("openai.completions", ERRORS, _completion, _completion_stream),
    Shape("openai.responses", ERRORS, response, _response_stream, failed=_response_failed),
    Shape("openai.embeddings", ERRORS, _embeddings),
    Shape("openai.count_tokens", ERRORS, _count),
)
