"""What each format's bodies say of an answer that comes later, and which requests fetch one."""

from __future__ import annotations

import pytest

from llmmetrics import wire
from llmmetrics.wire.later import AnswerState

FORMATS = {each.id: each for each in wire.FORMATS}
OPEN, DONE, FAILED = AnswerState.OPEN, AnswerState.COMPLETED, AnswerState.FAILED
CANCELLED, EXPIRED = AnswerState.CANCELLED, AnswerState.EXPIRED

USED = {"input_tokens": 12, "output_tokens": 5}
CHAT = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
GEMINI = {"total_input_tokens": 12, "total_output_tokens": 5}

BODIES = {
    "queued": ("openai.responses", {"id": "resp_1", "status": "queued", "background": True}, OPEN),
    "queued, no flag": ("openai.responses", {"id": "resp_1", "status": "queued"}, OPEN),
    "done": ("openai.responses", {"id": "resp_1", "status": "completed", "background": True, "usage": USED}, DONE),
    "incomplete": (
        "openai.responses",
        {"id": "resp_1", "status": "incomplete", "background": True, "usage": USED},
        DONE,
    ),
    "failed": ("openai.responses", {"id": "resp_1", "status": "failed", "background": True}, FAILED),
    "cancelled": ("openai.responses", {"id": "resp_1", "status": "cancelled", "background": True}, CANCELLED),
    "interaction": ("gemini.interactions", {"id": "v1_a", "status": "in_progress"}, OPEN),
    "interaction queued": ("gemini.interactions", {"id": "v1_a", "status": "queued"}, OPEN),
    "interaction cancelled": ("gemini.interactions", {"id": "v1_a", "status": "cancelled"}, CANCELLED),
    "interaction with usage so far": (
        "gemini.interactions",
        {"id": "v1_a", "status": "in_progress", "background": True, "usage": GEMINI},
        OPEN,
    ),
    "a word of tomorrow": (
        "openai.responses",
        {"id": "resp_1", "status": "x", "background": True, "usage": USED},
        DONE,
    ),
    "run": ("openai.runs", {"id": "run_1", "object": "thread.run", "status": "queued", "usage": None}, OPEN),
    "run waits": ("openai.runs", {"id": "run_1", "status": "requires_action", "usage": None}, OPEN),
    "run done": ("openai.runs", {"id": "run_1", "status": "completed", "usage": CHAT}, DONE),
    "run expired": ("openai.runs", {"id": "run_1", "status": "expired", "usage": None}, EXPIRED),
    "batch": ("openai.batches", {"id": "batch_1", "status": "validating"}, OPEN),
    "Together's batch": ("openai.batches", {"job": {"id": "b", "status": "VALIDATING"}, "warning": None}, OPEN),
    "Together's, done": ("openai.batches", {"id": "b", "status": "COMPLETED", "output_file_id": "f"}, DONE),
    "batch cancelling": ("openai.batches", {"id": "batch_1", "status": "cancelling"}, OPEN),
    "batch expired": ("openai.batches", {"id": "batch_1", "status": "expired"}, EXPIRED),
    "Mistral's": ("mistral.batches", {"id": "j", "status": "QUEUED"}, OPEN),
    "Mistral's timeout": ("mistral.batches", {"id": "j", "status": "TIMEOUT_EXCEEDED"}, EXPIRED),
    "Anthropic's": ("anthropic.batches", {"id": "msgbatch_1", "processing_status": "canceling"}, OPEN),
    "Anthropic's end": ("anthropic.batches", {"id": "msgbatch_1", "processing_status": "ended"}, DONE),
    "Gemini's": ("gemini.batches", {"name": "batches/a", "metadata": {"state": "BATCH_STATE_RUNNING"}}, OPEN),
    "Gemini's failure": (
        "gemini.batches",
        {"name": "batches/a", "metadata": {"state": "BATCH_STATE_FAILED"}, "error": {"code": 3}},
        FAILED,
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_says_how_far_its_answer_is(name):
    format, body, state = BODIES[name]
    later = FORMATS[format].read(body).later
    assert later is not None
    assert later.state is state


@pytest.mark.parametrize(
    ("format", "body"),
    [
        ("openai.responses", {"id": "resp_1", "status": "completed", "usage": USED}),
        ("openai.responses", {"id": "msg_1", "status": "in_progress"}),
        ("openai.responses", {"id": "resp_1", "status": "a state of tomorrow"}),
        ("gemini.interactions", {"id": "v1_a", "status": "completed", "usage": GEMINI}),
        ("openai.batches", {"error": {"message": "no"}}),
    ],
)
def test_an_ordinary_answer_is_none(format, body):
    assert FORMATS[format].read(body).later is None


def test_an_interaction_that_waits_for_its_caller_is_over():
    body = {"id": "v1_a", "status": "requires_action", "background": True, "usage": GEMINI}
    assert FORMATS["gemini.interactions"].read(body).later.state is DONE


EMPTY = {
    "nothing completed": ("openai.batches", {"status": "expired", "request_counts": {"completed": 0}}, True),
    "never validated": ("openai.batches", {"status": "failed"}, True),
    "has results": ("openai.batches", {"status": "cancelled", "output_file_id": "f"}, False),
    "no counts": ("openai.batches", {"status": "completed"}, False),
    "open": ("openai.batches", {"status": "in_progress", "request_counts": {"completed": 0}}, False),
    "all errors": ("mistral.batches", {"status": "SUCCESS", "succeeded_requests": 0}, True),
    "inline": ("mistral.batches", {"status": "SUCCESS", "outputs": [{}]}, False),
}


@pytest.mark.parametrize("name", EMPTY)
def test_a_batch_without_results_costs_nothing(name):
    format, body, empty = EMPTY[name]
    assert FORMATS[format].read({"id": "b", **body}).later.empty is empty


def test_anthropics_batch_that_was_cancelled_as_a_whole():
    body = {"id": "b", "processing_status": "ended", "request_counts": {"succeeded": 0, "canceled": 3}}
    later = FORMATS["anthropic.batches"].read(body).later
    assert (later.state, later.empty) == (CANCELLED, True)


FETCHES = {
    ("openai", "GET", "/v1/responses/resp_1"): ("openai.responses", "resp_1", False),
    ("openai", "POST", "/v1/responses/resp_1/cancel"): ("openai.responses", "resp_1", False),
    ("groq", "GET", "/openai/v1/batches/batch_1"): ("openai.batches", "batch_1", False),
    ("google", "GET", "/v1/batches/a"): ("gemini.batches", "a", False),
    ("google", "POST", "/v1beta/batches/a:cancel"): ("gemini.batches", "a", False),
    ("openai", "GET", "/v1/files/file-1/content"): ("openai.batches", "file-1", True),
    ("mistral", "GET", "/v1/files/file-1/content"): ("mistral.batches", "file-1", True),
    ("anthropic", "GET", "/v1/messages/batches/msgbatch_1"): ("anthropic.batches", "msgbatch_1", False),
    ("anthropic", "GET", "/v1/messages/batches/msgbatch_1/results"): ("anthropic.batches", "msgbatch_1", True),
    ("mistral", "GET", "/v1/batch/jobs/j"): ("mistral.batches", "j", False),
    ("google", "GET", "/download/v1beta/files/x:download"): ("gemini.batches", "x", True),
    ("google", "GET", "/v1beta/interactions/v1_a"): ("gemini.interactions", "v1_a", False),
    ("openai", "GET", "/v1/threads/t/runs/run_1"): ("openai.runs", "run_1", False),
    ("openai", "POST", "/v1/threads/t/runs/run_1/cancel"): ("openai.runs", "run_1", False),
    (wire.ANY, "GET", "/v1/batches/batch_1"): ("openai.batches", "batch_1", False),
    (None, "GET", "/v1/responses/resp_1"): ("openai.responses", "resp_1", False),
}


@pytest.mark.parametrize("request_line", FETCHES, ids=str)
def test_a_request_that_fetches(request_line):
    provider, method, path = request_line
    claimed = wire.fetch(method, "host", path, provider)
    assert claimed is not None
    assert (claimed.format.id, claimed.id, claimed.results) == FETCHES[request_line]
    assert wire.claim(method, "host", path, provider) is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/responses/resp_1/input_items"),
        ("DELETE", "/v1/responses/resp_1"),
        ("GET", "/v1/batches/batch_1/lines"),
        ("GET", "/v1/files/file-1"),
        ("GET", "/v1/models/gpt-5"),
        ("POST", "/v1/responses"),
        ("POST", "/v1/threads/t/runs/run_1/submit_tool_outputs"),
    ],
)
def test_a_request_that_fetches_nothing(method, path):
    assert wire.fetch(method, "host", path, wire.ANY) is None


@pytest.mark.parametrize("path", ["/v1/batches/1", "/v1/files/1/content", "/threads/1/runs/2"])
def test_another_server_may_have_such_paths(path):
    assert wire.fetch("GET", "shop.example", path) is None
