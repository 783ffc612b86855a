"""Anthropic's shapes. https://docs.anthropic.com/en/api/messages-streaming."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from llmmetrics.testing.messages import Answer, Request
from llmmetrics.testing.shapes.base import Doc, Shape, model, sse


def _anthropic_usage(answer: Answer) -> Doc:
    return {
        "input_tokens": answer.prompt_tokens - answer.cache_read - answer.cache_write,
        "cache_creation_input_tokens": answer.cache_write,
        "cache_read_input_tokens": answer.cache_read,
        "output_tokens": answer.completion_tokens,
    }


def _content(answer: Answer) -> Doc:
    if answer.tool:
        # https://docs.anthropic.com/en/docs/build-with-claude/tool-use
        return {"type": "tool_use", "id": "toolu_1", "name": answer.tool.name, "input": dict(answer.tool.arguments)}
    return {"type": "text", "text": answer.text}


def _message(request: Request, answer: Answer) -> Doc:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model(request, answer),
        "content": [_content(answer)],
        "stop_reason": "tool_use" if answer.tool else "end_turn",
        "stop_sequence": None,
        **({"usage": _anthropic_usage(answer)} if answer.usage else {}),
    }


def _message_stream(request: Request, answer: Answer) -> Iterator[bytes]:
    def event(kind: str, **fields: Any) -> bytes:
        return sse({"type": kind, **fields}, kind)

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


SHAPES = (Shape(re.compile(r"/v1/messages$"), "anthropic", _message, _message_stream),)
