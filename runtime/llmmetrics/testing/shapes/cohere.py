"""Cohere's shapes, version 2. https://docs.cohere.com/reference/chat-stream."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from llmmetrics.testing.messages import Answer, Request
from llmmetrics.testing.shapes.base import Doc, Shape, sse, with_usage


def _cohere_usage(answer: Answer) -> Doc:
    counts = {"input_tokens": answer.prompt_tokens, "output_tokens": answer.completion_tokens}
    return {"billed_units": counts, "tokens": counts, "cached_tokens": answer.cache_read}


def _cohere(_: Request, answer: Answer) -> Doc:
    message: Doc = {"role": "assistant", "content": [{"type": "text", "text": answer.text}]}
    if answer.tool:
        # https://docs.cohere.com/docs/tool-use-overview: what it is about to do is said in a plan
        function = {"name": answer.tool.name, "arguments": json.dumps(answer.tool.arguments)}
        call = {"id": "call_1", "type": "function", "function": function}
        message = {"role": "assistant", "tool_plan": answer.text, "tool_calls": [call]}
    doc = {"id": "c-1", "finish_reason": "TOOL_CALL" if answer.tool else "COMPLETE", "message": message}
    return with_usage(doc, answer, "usage", _cohere_usage(answer))


def _cohere_stream(_: Request, answer: Answer) -> Iterator[bytes]:
    def event(kind: str, **fields: Any) -> bytes:
        return sse({"type": kind, **fields}, kind)

    start = {"message": {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}}
    yield event("message-start", id="c-1", delta=start)
    yield event("content-start", index=0, delta={"message": {"content": {"type": "text", "text": ""}}})
    for piece in answer.deltas:
        yield event("content-delta", index=0, delta={"message": {"content": {"text": piece}}})
    yield event("content-end", index=0)
    usage = {"usage": _cohere_usage(answer)} if answer.usage else {}
    yield event("message-end", delta={"finish_reason": "COMPLETE", **usage})
    yield b"data: [DONE]\n\n"


SHAPES = (Shape(re.compile(r"/v2/chat$"), "cohere", _cohere, _cohere_stream),)
