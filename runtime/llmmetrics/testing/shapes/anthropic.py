"""Anthropic's shapes, on its own host and on Vertex.

https://docs.anthropic.com/en/api/messages-streaming, https://docs.anthropic.com/en/api/complete with
https://docs.anthropic.com/en/api/streaming, https://docs.anthropic.com/en/api/messages-count-tokens and
https://docs.anthropic.com/en/api/claude-on-vertex-ai.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from llmmetrics.testing.messages.model import Answer, Request
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
    """A message."""
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
    """A streamed message's events."""

    def event(kind: str, **fields: Any) -> Doc:
        return {"type": kind, **fields}

    start = {**message(request, answer), "content": [], "stop_reason": None}
    last: Doc = {}
    if answer.usage:
        # the input is known at the start, the output and what was thought of it at the end
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


def _message_stream(request: Request, answer: Answer) -> Iterator[bytes]:
    return (sse(event, event["type"]) for event in message_events(request, answer))


def _completion(request: Request, answer: Answer, text: str | None = None, *, last: bool = True) -> Doc:
    said = answer.text if text is None else text
    stop = {"stop_reason": "stop_sequence", "stop": "\n\nHuman:"} if last else {"stop_reason": None, "stop": None}
    return {"type": "completion", "id": "compl_1", "completion": said, "model": model(request, answer), **stop}


def _completion_stream(request: Request, answer: Answer) -> Iterator[bytes]:
    for piece in answer.deltas:
        yield sse(_completion(request, answer, piece, last=False), "completion")
    yield sse(_completion(request, answer, ""), "completion")


def _count(_: Request, answer: Answer) -> Doc:
    return {"input_tokens": answer.prompt_tokens}


SHAPES = (
    Shape("anthropic.messages", "anthropic", message, _message_stream),
    # the legacy API says no usage
    Shape("anthropic.complete", "anthropic", _completion, _completion_stream),
    Shape("anthropic.count_tokens", "vertex", _count, path=re.compile("rawPredict$")),
    Shape("anthropic.count_tokens", "anthropic", _count),
    # Google refuses a request, Anthropic breaks off a stream
    Shape("vertex.anthropic", "vertex", message, _message_stream, within="anthropic"),
)
