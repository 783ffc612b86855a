"""The simulated provider as a pure function: a request and a script to a reply."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from llmmetrics.testing.faults import error_body, require_expressible
from llmmetrics.testing.messages import Answer, Fault, Reply, Request
from llmmetrics.testing.shapes import SHAPES, Shape
from llmmetrics.testing.shapes.base import sse

ANSWER = Answer()


def _shape_of(request: Request) -> Shape | None:
    if request.method != "POST":
        return None
    return next((each for each in SHAPES if each.path.search(request.path)), None)


def is_call(request: Request) -> bool:
    """Whether the simulated provider has a wire format for this request, so that it is a call."""
    return _shape_of(request) is not None


def reply(request: Request, script: Answer | Fault = ANSWER, spoilt: Answer = ANSWER) -> Reply:
    """What the provider sends: the answer in the format that the request's path speaks, or the fault.

    `spoilt` is the answer that a fault in mid-body breaks off. Raises `CannotExpressError` for a fault that the
    provider has no words for.
    """
    shape = _shape_of(request)
    if shape is None:
        return _elsewhere(request)
    if isinstance(script, Answer):
        return _answer(shape, request, script)
    require_expressible(shape.vendor, script)
    if script.instead:
        kind, body = script.instead
        made = Reply(200, (("content-type", kind),), (body,))
    elif script.http >= 400:
        made = _refusal(shape, script)
    else:
        made = _answer(shape, request, replace(spoilt, **dict(script.changes)))
    return _spoil(made, shape, script)


def _answer(shape: Shape, request: Request, answer: Answer) -> Reply:
    if not (shape.events and request.stream):
        return _json(200, shape.body(request, answer))
    chunks = tuple(shape.events(request, answer))
    # Gemini's stream is a JSON array unless it is asked for as SSE
    streamed = "application/json" if chunks[0].startswith(b"[") else shape.content_type
    return Reply(200, (("content-type", streamed),), chunks, stream=True)


def _refusal(shape: Shape, fault: Fault) -> Reply:
    http, body = error_body(shape.vendor, fault)
    return _json(http, body, (("retry-after", fault.retry_after),) if fault.retry_after else ())


def _elsewhere(request: Request) -> Reply:
    if request.method == "GET" and request.path.endswith("/models"):
        models = [{"id": "simulated", "object": "model", "created": 0, "owned_by": "llmmetrics"}]
        return _json(200, {"object": "list", "data": models})
    return _json(404, {"error": {"message": f"no such path here: {request.path}", "type": "not_found", "code": None}})


def _json(status: int, body: Any, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    return Reply(status, (("content-type", "application/json"), *headers), (json.dumps(body).encode(),))


def _spoil(made: Reply, shape: Shape, fault: Fault) -> Reply:
    """The reply as this fault lets it through."""
    chunks = made.chunks
    if fault.malformed:
        chunks = tuple(chunk[: len(chunk) // 2] + (b"\n\n" if made.stream else b"") for chunk in chunks)
    elif fault.in_band:
        chunks = _in_band(made, shape, fault)
    return Reply(
        made.status,
        made.headers,
        chunks,
        made.stream,
        delay=fault.delay,
        reset=fault.reset,
        cut_after=_within(chunks, fault.cut_after),
        stall_after=_within(chunks, fault.stall_after),
        raises=fault.raises,
        says=fault.says,
    )


def _within(chunks: tuple[bytes, ...], after: int | None) -> int | None:
    """Before the last event at the latest: a stream that has it is whole."""
    return after if after is None else min(after, len(chunks) - 1)


def _in_band(made: Reply, shape: Shape, fault: Fault) -> tuple[bytes, ...]:
    _, body = error_body(shape.vendor, fault)
    if not made.stream:
        return (json.dumps({"error": body} if shape.vendor == "cohere" else body).encode(),)
    begun = made.chunks[: min(2, len(made.chunks) - 1)]
    if begun and begun[0].startswith(b"["):
        return (made.chunks[0], f",{json.dumps(body)}]".encode())
    if shape.vendor == "ollama":
        return (*begun, json.dumps(body).encode() + b"\n")
    if shape.vendor == "cohere":
        delta = {"finish_reason": "ERROR", "error": body["message"]}
        return (*begun, sse({"type": "message-end", "delta": delta}, "message-end"))
    if begun and b"response.created" in begun[0]:
        error = {"code": body["error"]["code"], "message": body["error"]["message"]}
        failed = {"id": "resp_1", "object": "response", "status": "failed", "error": error, "output": []}
        return (*begun, sse({"type": "response.failed", "sequence_number": 2, "response": failed}, "response.failed"))
    # Gemini's events have no names
    return (*begun, sse(body, None if shape.vendor == "gemini" else "error"))
