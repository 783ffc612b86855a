"""Anthropic's shapes; Vertex answers with the same messages.

https://docs.anthropic.com/en/api/messages-streaming, https://docs.anthropic.com/en/api/complete with
https://docs.anthropic.com/en/api/streaming, https://docs.anthropic.com/en/api/messages-count-tokens and
https://docs.anthropic.com/en/api/claude-on-vertex-ai.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llmmetrics.testing.messages.model import Answer, Request
from llmmetrics.testing.messages.provider_errors import ProviderErrors
from llmmetrics.testing.shapes.base import Doc, Shape, model, sse


def _usage(answer: Answer) -> Doc:
    return {
        "input_tokens": answer.prompt_tokens - answer.cache_read - answer.cache_write,
        "cache_creation_input_tokens": answer.cache_write,
        "cache_read_input_tokens": answer.cache_read,
        "output_tokens": answer.completion_tokens,
        **({"output_tokens_details": {"thinking_tokens": answer.reasoning}} if answer.reasoning else {}),
    }


def _content(answer: Answer) -> Doc:
    if answer.tool:
        # https://docs.anthropic.com/en/docs/build-with-claude/tool-use
        return {"type": "tool_use", "id": "toolu_1", "name": answer.tool.name, "input": dict(answer.tool.arguments)}
    return {"type": "text", "text": answer.text}


def message(request: Request, answer: Answer) -> Doc:
    """Return a message."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model(request, answer),
        "content": [_content(answer)],
        "stop_reason": "tool_use" if answer.tool else "end_turn",
        "stop_sequence": None,
        **({"usage": _usage(answer)} if answer.usage else {}),
    }


def message_events(request: Request, answer: Answer) -> Iterator[Doc]:
    """Yield a streamed message's events."""

    def event(kind: str, **fields: Any) -> Doc:
        return {"type": kind, **fields}

    start = {**message(request, answer), "content": [], "stop_reason": None}
    last: Doc = {}
    if answer.usage:
        # the input is known at the start, the output and its thinking at the end
        usage = _usage(answer)
        last = {
            "usage": {name: usage.pop(name) for name in ("output_tokens", "output_tokens_details") if name in usage}
        }
        start["usage"] = {**usage, "output_tokens": 1}
    yield event("message_start", message=start)
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    yield event("ping")
    for piece in answer.deltas:
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
    yield event("content_block_stop", index=0)
    yield event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, **last)
    yield event("message_stop")


def message_stream(request: Request, answer: Answer) -> Iterator[bytes]:
    """Yield a streamed message."""
    return (sse(event, event["type"]) for event in message_events(request, answer))


def _completion(request: Request, answer: Answer, text: str | None = None, *, last: bool = True) -> Doc:
    written = answer.text if text is None else text
    stop = {"stop_reason": "stop_sequence", "stop": "\n\nHuman:"} if last else {"stop_reason": None, "stop": None}
    return {"type": "completion", "id": "compl_1", "completion": written, "model": model(request, answer), **stop}


def _completion_stream(request: Request, answer: Answer) -> Iterator[bytes]:
    for piece in answer.deltas:
        yield sse(_completion(request, answer, piece, last=False), "completion")
    yield sse(_completion(request, answer, ""), "completion")


def count(_: Request, answer: Answer) -> Doc:
    """Return the count of a prompt's tokens."""
    return {"input_tokens": answer.prompt_tokens}


def _error(_: int, code: str, message: str) -> Any:
    return {"type": "error", "error": {"type": code, "message": message}, "request_id": "req_simulated"}


ERRORS = ProviderErrors(
    "anthropic",
    {
        "rate_limit": "rate_limit_error",
        "rate_limit_bare": "rate_limit_error",
        "insufficient_quota": "billing_error",
        "bad_key": "authentication_error",
        "forbidden": "permission_error",
        "not_found": "not_found_error",
        "context_too_long": "invalid_request_error",
        "content_filtered": "invalid_request_error",
        "gateway_timeout": "timeout_error",
        "overloaded": "overloaded_error",
    },
    _error,
    {"insufficient_quota": 402},
    plain="api_error",
)


SHAPES = (
    Shape("anthropic.messages", ERRORS, message, message_stream),
    # the legacy API sends no usage
    Shape("anthropic.complete", ERRORS, _completion, _completion_stream),
    Shape("anthropic.count_tokens", ERRORS, count),
)
