"""Shapes of runs and of batches: as they are when they are created, and as they are when they are done.

https://platform.openai.com/docs/api-reference/batch, https://docs.anthropic.com/en/api/creating-message-batches,
https://ai.google.dev/api/batch-api, https://docs.mistral.ai/api/#tag/batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from llmmetrics.testing.messages.model import Answer, Request
from llmmetrics.testing.shapes import anthropic, gemini, openai
from llmmetrics.testing.shapes.base import CREATED, Doc, Shape, with_usage

_WHEN = "2026-01-01T00:00:00Z"


class BatchShape(NamedTuple):
    """How a provider's batch goes on after it was created."""

    line: Callable[[str, int, Doc], Doc]
    """Return a line of results: the request's name, the HTTP status, the answer's body."""
    numbered: Callable[[Doc, int, int], Doc]
    """Return the created batch with a number of its own, and the number of its requests."""
    ids: Callable[[Doc], tuple[str, str]]
    """Return the ids of the batch and of its file of results."""
    done: Callable[[Doc, Sequence[Doc]], Doc]
    """Return the batch as it is when it is done."""


def names_of(body: Doc, lines: Sequence[Doc]) -> Sequence[str]:
    """Return the names of a batch's requests: those in its body, then those in its files."""
    inline = body.get("requests") or _gemini_requests(body)
    return [str(each.get("custom_id") or each.get("key") or n) for n, each in enumerate([*inline, *lines])]


def _gemini_requests(body: Doc) -> Sequence[Doc]:
    config = body.get("batch", {})
    config = config.get("inputConfig") or config.get("input_config") or {}
    requests: Sequence[Doc] = (config.get("requests") or {}).get("requests") or ()
    return requests


def _openai(request: Request, _: Answer) -> Doc:
    fields = {name: request.json.get(name) for name in ("endpoint", "input_file_id", "completion_window")}
    base = {"id": "batch_1", "object": "batch", **fields, "created_at": CREATED, "status": "validating"}
    counts = {"total": 0, "completed": 0, "failed": 0}
    return {**base, "output_file_id": None, "error_file_id": None, "request_counts": counts}


def _openai_line(name: str, status: int, body: Doc) -> Doc:
    return {
        "id": f"batch_req_{name}",
        "custom_id": name,
        "response": {"status_code": status, "body": body},
        "error": None,
    }


def _openai_done(doc: Doc, results: Sequence[Doc]) -> Doc:
    counts = {"total": len(results), "completed": len(results), "failed": 0}
    return {**doc, "status": "completed", "output_file_id": f"file-of-{doc['id']}", "request_counts": counts}


def _mistral(request: Request, _: Answer) -> Doc:
    json = request.json
    base = {"id": "job-1", "object": "batch", "input_files": json.get("input_files") or [], "errors": []}
    counts = {"total_requests": 0, "completed_requests": 0, "succeeded_requests": 0, "failed_requests": 0}
    fields = {"endpoint": json.get("endpoint"), "model": json.get("model"), "metadata": None}
    return {
        **base,
        **fields,
        **counts,
        "status": "QUEUED",
        "created_at": CREATED,
        "output_file": None,
        "error_file": None,
    }


def _mistral_done(doc: Doc, results: Sequence[Doc]) -> Doc:
    n = len(results)
    counts = {"total_requests": n, "completed_requests": n, "succeeded_requests": n}
    return {**doc, **counts, "status": "SUCCESS", "output_file": f"file-of-{doc['id']}"}


def _anthropic(request: Request, _: Answer) -> Doc:
    n = len(request.json.get("requests") or ())
    counts = {"processing": n, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    times = {
        "created_at": _WHEN,
        "expires_at": _WHEN,
        "ended_at": None,
        "archived_at": None,
        "cancel_initiated_at": None,
    }
    base = {"id": "msgbatch_1", "type": "message_batch", "processing_status": "in_progress", "results_url": None}
    return {**base, "request_counts": counts, **times}


def _anthropic_line(name: str, status: int, body: Doc) -> Doc:
    if status != 200:
        return {"custom_id": name, "result": {"type": "errored", "error": body}}
    if isinstance(used := body.get("usage"), dict):
        body = {**body, "usage": {**used, "service_tier": "batch"}}
    return {"custom_id": name, "result": {"type": "succeeded", "message": body}}


def _anthropic_done(doc: Doc, results: Sequence[Doc]) -> Doc:
    counts = {**doc["request_counts"], "processing": 0, "succeeded": len(results)}
    ended = {"processing_status": "ended", "ended_at": _WHEN, "request_counts": counts}
    return {**doc, **ended, "results_url": f"/v1/messages/batches/{doc['id']}/results"}


def _gemini(request: Request, _: Answer) -> Doc:
    metadata = {"model": f"models/{request.model}", "state": "BATCH_STATE_PENDING", "createTime": _WHEN}
    return {"name": "batches/1", "metadata": metadata}


def _gemini_line(name: str, status: int, body: Doc) -> Doc:
    return {"metadata": {"key": name}, "response" if status == 200 else "error": body}


def _gemini_done(doc: Doc, results: Sequence[Doc]) -> Doc:
    inline = {"inlinedResponses": {"inlinedResponses": list(results)}}
    stats = {"requestCount": str(len(results)), "successfulRequestCount": str(len(results))}
    metadata = {**doc["metadata"], "state": "BATCH_STATE_SUCCEEDED", "batchStats": stats, "output": inline}
    return {**doc, "metadata": metadata, "done": True, "response": inline}


def _numbered(doc: Doc, number: int, _: int) -> Doc:
    name = "id" if "id" in doc else "name"
    return {**doc, name: re_number(str(doc[name]), number)}


def re_number(id: str, number: int) -> str:
    """Return an id with another number at its end."""
    return f"{id.rstrip('0123456789')}{number}"


def _by_id(doc: Doc) -> tuple[str, str]:
    return str(doc["id"]), f"file-of-{doc['id']}"


DONE: dict[str, BatchShape] = {
    "openai.batches": BatchShape(_openai_line, _numbered, _by_id, _openai_done),
    "mistral.batches": BatchShape(_openai_line, _numbered, _by_id, _mistral_done),
    "anthropic.batches": BatchShape(_anthropic_line, _numbered, lambda doc: (doc["id"],) * 2, _anthropic_done),
    "gemini.batches": BatchShape(
        _gemini_line, _numbered, lambda doc: (str(doc["name"]).rpartition("/")[2], str(doc["name"])), _gemini_done
    ),
}
"""How the batches of each format go on."""


def _run(request: Request, answer: Answer) -> Doc:
    thread = request.path.partition("/threads/")[2].partition("/")[0]
    base = {
        "id": "run_1",
        "object": "thread.run",
        "created_at": CREATED,
        "assistant_id": request.json.get("assistant_id"),
    }
    more = {"thread_id": thread if thread != "runs" else "thread_1", "model": answer.model or request.model}
    settings: dict[str, Any] = {"instructions": "", "tools": [], "metadata": {}, "parallel_tool_calls": True}
    limits = {name: request.json.get(name) for name in ("max_prompt_tokens", "max_completion_tokens")}
    return with_usage(
        {**base, **more, **settings, **limits, "status": "completed"}, answer, "usage", openai.usage(answer)
    )


SHAPES = (
    Shape("openai.runs", openai.ERRORS, _run),
    Shape("openai.batches", openai.ERRORS, _openai),
    Shape("mistral.batches", openai.ERRORS, _mistral),
    Shape("anthropic.batches", anthropic.ERRORS, _anthropic),
    Shape("gemini.batches", gemini.ERRORS, _gemini),
)
