"""The simulated provider as a pure function: a request and a script to a reply."""

from __future__ import annotations

import json
from typing import Any

from llmmetrics.testing.faults import error_body
from llmmetrics.testing.messages import Answer, Fault, Reply, Request
from llmmetrics.testing.shapes import SHAPES, Shape

ANSWER = Answer()


def reply(request: Request, script: Answer | Fault = ANSWER, spoilt: Answer = ANSWER) -> Reply:
    """What the provider sends: the answer in the format that the request's path speaks, or the fault.

    `spoilt` is the answer that a fault in mid-body breaks off.
    """
    shape = next((each for each in SHAPES if each.path.search(request.path)), None)
    if request.method != "POST" or shape is None:
        return _elsewhere(request)
    answer = script if isinstance(script, Answer) else spoilt
    fault = script if isinstance(script, Fault) else None
    if fault and fault.http >= 400:
        http, body = error_body(shape.vendor, fault)
        headers = (("retry-after", fault.retry_after),) if fault.retry_after else ()
        return _json(http, body, headers)
    if shape.events and request.stream:
        chunks = tuple(shape.events(request, answer))
        streamed = shape.content_type if request.query != "" or shape.vendor != "gemini" else "application/json"
        made = Reply(200, (("content-type", streamed),), chunks, stream=True)
    else:
        made = _json(200, shape.body(request, answer))
    return _spoil(made, shape, fault) if fault else made


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
        cut_after=fault.cut_after,
        stall_after=fault.stall_after,
    )


def _in_band(made: Reply, shape: Shape, fault: Fault) -> tuple[bytes, ...]:
    _, body = error_body(shape.vendor, fault)
    if shape.vendor == "cohere":
        body = {"error": body}
    text = json.dumps(body)
    if not made.stream:
        return (text.encode(),)
    if shape.content_type != "text/event-stream":
        return (*made.chunks[:2], text.encode() + b"\n")
    if made.chunks[0].startswith(b"["):
        return (made.chunks[0], f",{text}]".encode())
    if b"response.created" in made.chunks[0]:
        failed = {"id": "resp_1", "object": "response", "status": "failed", "error": body["error"], "output": []}
        text = json.dumps({"type": "response.failed", "sequence_number": 2, "response": failed})
        return (*made.chunks[:2], f"event: response.failed\ndata: {text}\n\n".encode())
    return (*made.chunks[:2], f"event: error\ndata: {text}\n\n".encode())
