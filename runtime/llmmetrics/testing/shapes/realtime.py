"""OpenAI's Realtime, over a WebSocket: the events of the Responses API, with a few other names.

https://platform.openai.com/docs/api-reference/realtime-server-events.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llmmetrics.testing.messages.model import Answer, Request
from llmmetrics.testing.messages.provider_errors import Refusal
from llmmetrics.testing.shapes import openai
from llmmetrics.testing.shapes.base import Doc, Shape, sse

_ENDS = ("response.completed", "response.failed", "response.incomplete")


def _stream(request: Request, answer: Answer) -> Iterator[bytes]:
    return (sse(_renamed(each)) for each in openai.response_events(request, answer))


def _renamed(event: Doc) -> Doc:
    response = event.get("response")
    if not isinstance(response, dict):
        return event
    counts = {"usage": _usage(response["usage"]) if response["usage"] else None}
    return _event("response.done" if event["type"] in _ENDS else event["type"], status=response["status"], **counts)


def _usage(usage: Doc) -> Doc:
    inward, outward = usage["input_tokens"], usage["output_tokens"]
    cached = usage["input_tokens_details"]["cached_tokens"]
    return {
        "total_tokens": usage["total_tokens"],
        "input_tokens": inward,
        "output_tokens": outward,
        "input_token_details": {"text_tokens": inward, "cached_tokens": cached},
        "output_token_details": {"text_tokens": outward},
    }


def _failed(_: Request, refusal: Refusal) -> bytes:
    error = {"type": refusal.code, "code": refusal.code, "message": refusal.message}
    return sse(_event("response.done", status="failed", status_details={"type": "failed", "error": error}))


def _event(kind: str, **fields: Any) -> Doc:
    response: Doc = {"id": "resp_1", "object": "realtime.response", "output": [], "status_details": None, "usage": None}
    return {"type": kind, "response": response | fields}


# an error event has a code, and no HTTP status: these two are told by their status alone
ERRORS = openai.ERRORS._replace(name="openai.realtime", cannot=frozenset({"forbidden", "gateway_timeout"}))

SHAPES = (Shape("openai.realtime", ERRORS, openai.response, _stream, failed=_failed),)
