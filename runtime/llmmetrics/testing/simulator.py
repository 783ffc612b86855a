"""The simulated provider as a pure function from a request and a script to a reply."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from llmmetrics.reading.error_types import error_in, status_of
from llmmetrics.testing.faults import CannotExpressError, require_expressible
from llmmetrics.testing.messages.model import Answer, Fault, Reply, Request
from llmmetrics.testing.messages.provider_errors import Headers, refusal
from llmmetrics.testing.shapes import SHAPES, Shape
from llmmetrics.wire import SOCKET

ANSWER = Answer()


def shape_of(request: Request) -> Shape | None:
    """Return the shape that answers a request; None if it is not an LLM call."""
    if (claimed := request.claim) is None:
        return None
    return next((each for each in SHAPES if each.id == claimed.format.id and each.path.search(request.place)), None)


def is_call(request: Request) -> bool:
    """Return whether a request is an LLM call, in a wire format of the simulated provider."""
    return shape_of(request) is not None


def reply(request: Request, script: Answer | Fault = ANSWER, spoilt: Answer = ANSWER) -> Reply:
    """Make the provider's reply: the answer in the format of the request's path, or the fault.

    `spoilt` is the answer that a fault in the body cuts. Raises `CannotExpressError` for a fault that the provider
    cannot express.
    """
    shape = shape_of(request)
    if shape is None:
        return _elsewhere(request)
    if isinstance(script, Answer):
        return _answer(shape, request, script)
    require_expressible(shape.errors, script, over_websocket=request.method == SOCKET)
    if script.instead:
        kind, body = script.instead
        whole = Reply(200, (("content-type", kind),), (body,))
    elif script.http >= 400:
        refused = refusal(shape.errors, script)
        whole = _json(refused.http, refused.body, refused.headers)
    else:
        whole = _answer(shape, request, replace(spoilt, **dict(script.changes)))
    return _spoil(whole, shape, request, script)


def counted(request: Request, fault: Fault) -> tuple[str, str | None]:
    """Return the status and the error type of a fault at the provider of a request.

    They are the fault's own, unless the provider sends a code whose error type wins over that of the HTTP status.
    """
    shape = shape_of(request)
    if shape is None or fault.http < 400:
        return fault.status, fault.error_type
    refused = refusal(shape.errors, fault)
    error = error_in(refused.http, [refused.body, {"code": refused.code}])
    return status_of(error).value, error and error.value


def _answer(shape: Shape, request: Request, answer: Answer) -> Reply:
    headers = shape.headers(request, answer)
    if not (shape.events and request.stream):
        return _json(200, shape.body(request, answer), headers)
    if answer.tool:
        raise CannotExpressError(
            f"the tool {answer.tool.name!r} is not supported in a stream: reply to a request without streaming"
        )
    chunks = tuple(shape.events(request, answer))
    # Gemini's stream is a JSON array unless the request asks for SSE
    streamed = "application/json" if _is_array(chunks) else shape.content_type
    return Reply(200, (("content-type", streamed), *headers), chunks, stream=True)


def _is_array(chunks: tuple[bytes, ...]) -> bool:
    return chunks[0].startswith(b"[")


def _elsewhere(request: Request) -> Reply:
    if request.method == "GET" and request.path.endswith("/models"):
        models = [{"id": "simulated", "object": "model", "created": 0, "owned_by": "llmmetrics"}]
        return _json(200, {"object": "list", "data": models})
    return _json(404, {"error": {"message": f"unknown path: {request.path}", "type": "not_found", "code": None}})


def _json(status: int, body: Any, headers: Headers = ()) -> Reply:
    return Reply(status, (("content-type", "application/json"), *headers), (json.dumps(body).encode(),))


def _spoil(whole: Reply, shape: Shape, request: Request, fault: Fault) -> Reply:
    """Apply a fault to a reply."""
    chunks = whole.chunks
    if fault.malformed:
        chunks = tuple(chunk[: len(chunk) // 2] + (b"\n\n" if whole.stream else b"") for chunk in chunks)
    elif fault.in_band:
        chunks = _in_band(whole, shape, request, fault)
    return Reply(
        whole.status,
        whole.headers,
        chunks,
        whole.stream,
        delay=fault.delay,
        reset=fault.reset,
        cut_after=_within(chunks, fault.cut_after),
        stall_after=_within(chunks, fault.stall_after),
        raises=fault.raises,
        says=fault.says,
    )


def _within(chunks: tuple[bytes, ...], after: int | None) -> int | None:
    """Limit a cut to before the last event: a stream with its last event is complete."""
    return after if after is None else min(after, len(chunks) - 1)


def _in_band(whole: Reply, shape: Shape, request: Request, fault: Fault) -> tuple[bytes, ...]:
    if whole.stream:
        # the second element of an array may be its last
        most = 1 if _is_array(whole.chunks) else 2
        begun = whole.chunks[: min(most, len(whole.chunks) - 1)]
        return (*begun, shape.failed(request, refusal(shape.within or shape.errors, fault)))
    return (json.dumps(shape.errors.in_band(refusal(shape.errors, fault).body)).encode(),)
