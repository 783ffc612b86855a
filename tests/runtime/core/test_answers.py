"""Answers that come later: counted once, by their ids, when they are fetched; an ordinary stored answer never."""

from __future__ import annotations

import json

import httpx
import pytest
from prometheus_client import CollectorRegistry
from support.samples import samples

from llmmetrics import Meter
from llmmetrics.testing import observe

BASE = "https://api.openai.com/v1"
USED = {"input_tokens": 12, "output_tokens": 5, "total_tokens": 17}
BACKEND = {"Name": "b", "Type": "OpenAI", "CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 10}


def response(status, id="resp_1", *, background=True, usage=None):
    return {
        "id": id,
        "object": "response",
        "model": "gpt-5",
        "status": status,
        "background": background,
        "output": [],
        "usage": usage,
    }


def sse(*events):
    return "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in events).encode()


class Provider:
    """Answers by method and path; a test says what."""

    def __init__(self):
        self.answers = {}

    def __call__(self, request):
        status, content = self.answers[request.method, request.url.path]
        if isinstance(content, bytes):
            return httpx.Response(status, content=content, headers={"content-type": "text/event-stream"})
        return httpx.Response(status, json=content)

    def says(self, line, content, status=200):
        method, path = line.split(" ")
        self.answers[method, f"/v1{path}"] = (status, content)


class Setup:
    def __init__(self):
        self.registry = CollectorRegistry()
        self.meter = Meter.from_settings({"Backends": [BACKEND]}, registry=self.registry)
        self.provider = Provider()
        self.client = httpx.Client(transport=self.meter.transport(httpx.MockTransport(self.provider)))

    def value(self, name, **labels):
        return sum(samples(self.registry, name, **labels))

    def ask(self, path="/responses", **body):
        return self.client.post(BASE + path, json={"model": "gpt-5", "input": "hi", **body})

    def get(self, path):
        return self.client.get(BASE + path)

    @property
    def counted(self):
        """Requests, tokens, pending answers."""
        names = ("llm_requests_total", "llm_tokens_total", "llmmetrics_pending_answers")
        return tuple(self.value(name, **({"token_type": "total"} if "tokens" in name else {})) for name in names)

    def outcomes(self):
        states = ("completed", "failed", "cancelled", "expired")
        counts = {state: self.value("llmmetrics_answers_total", outcome=state) for state in states}
        return {state: n for state, n in counts.items() if n}


@pytest.fixture
def setup():
    setup = Setup()
    setup.provider.says("POST /responses", response("queued"))
    setup.provider.says("GET /responses/resp_1", response("completed", usage=USED))
    yield setup
    setup.meter.close()


def test_it_is_counted_once_when_it_is_fetched(setup):
    setup.ask(background=True)
    assert setup.counted == (1, 0, 1)
    assert setup.value("llmmetrics_calls_without_usage_total") == 0
    for _ in range(3):
        setup.get("/responses/resp_1")
    assert setup.counted == (1, 17, 0)
    assert setup.value("llm_estimated_cost_usd", backend="b", model="gpt-5") == pytest.approx(62e-6)
    assert setup.outcomes() == {"completed": 1}


def test_a_poll_before_it_is_done_counts_nothing(setup):
    setup.provider.says("GET /responses/resp_1", response("in_progress"))
    setup.ask(background=True)
    for _ in range(3):
        setup.get("/responses/resp_1")
    assert setup.counted == (1, 0, 1)
    assert setup.outcomes() == {}


def test_a_poll_that_fails_changes_nothing(setup):
    setup.provider.says("GET /responses/resp_1", {"error": {"message": "try again"}}, 503)
    setup.ask(background=True)
    setup.get("/responses/resp_1")
    assert setup.counted == (1, 0, 1)
    assert setup.value("llm_errors_total") == 0


def test_the_fetched_body_need_not_say_that_it_was_in_the_background(setup):
    setup.provider.says("POST /responses", {**response("queued"), "background": None})
    setup.provider.says("GET /responses/resp_1", response("completed", background=None, usage=USED))
    setup.ask(background=True)
    setup.get("/responses/resp_1")
    assert setup.counted == (1, 17, 0)


@pytest.mark.parametrize("background", [True, None])
def test_an_id_that_was_not_asked_for_here(setup, background):
    setup.provider.says("GET /responses/resp_1", response("completed", background=background, usage=USED))
    for _ in range(2):
        setup.get("/responses/resp_1")
    assert setup.counted == (0, 17 if background else 0, 0)


def test_a_stored_answer_that_is_fetched_again(setup):
    setup.provider.says("POST /responses", response("completed", background=False, usage=USED))
    setup.provider.says("GET /responses/resp_1", response("completed", background=False, usage=USED))
    setup.ask()
    setup.get("/responses/resp_1")
    assert setup.counted == (1, 17, 0)


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_another_end_shows_in_its_outcome_alone(setup, state):
    setup.provider.says("GET /responses/resp_1", response(state))
    setup.ask(background=True)
    setup.get("/responses/resp_1")
    assert setup.counted == (1, 0, 0)
    assert setup.outcomes() == {state: 1}
    assert setup.value("llm_errors_total") == 0
    assert setup.value("llm_requests_total", status="success") == 1


def test_a_cancel_ends_it(setup):
    setup.provider.says("POST /responses/resp_1/cancel", response("cancelled"))
    setup.ask(background=True)
    setup.client.post(f"{BASE}/responses/resp_1/cancel")
    assert setup.counted == (1, 0, 0)
    assert setup.outcomes() == {"cancelled": 1}


def test_usage_counts_however_it_ended(setup):
    setup.provider.says("GET /responses/resp_1", response("failed", usage=USED))
    setup.ask(background=True)
    setup.get("/responses/resp_1")
    assert setup.counted == (1, 17, 0)


def test_done_without_usage_is_unknown(setup):
    setup.provider.says("GET /responses/resp_1", response("completed"))
    setup.ask(background=True)
    setup.get("/responses/resp_1")
    assert setup.counted == (1, 0, 0)
    assert setup.value("llmmetrics_calls_without_usage_total", reason="absent") == 1


# streams

CREATED = {"type": "response.created", "response": response("queued")}
DELTA = {"type": "response.output_text.delta", "delta": "word"}
COMPLETED = {"type": "response.completed", "response": response("completed", usage=USED)}


def test_a_stream_that_is_closed_early_goes_on(setup):
    setup.provider.says("POST /responses", sse(CREATED, DELTA, DELTA))
    setup.provider.says("GET /responses/resp_1", sse(DELTA, COMPLETED))
    setup.ask(background=True, stream=True)
    assert setup.counted == (1, 0, 1)
    setup.get("/responses/resp_1?stream=true&starting_after=2")
    assert setup.counted == (1, 17, 0)


def test_a_resumed_stream_that_is_cut_counts_nothing(setup):
    setup.provider.says("GET /responses/resp_1", sse(DELTA, DELTA))
    setup.ask(background=True)
    setup.get("/responses/resp_1?stream=true&starting_after=1")
    assert setup.counted == (1, 0, 1)


def test_a_stream_that_was_read_to_its_end_is_not_counted_again(setup):
    setup.provider.says("POST /responses", sse(CREATED, DELTA, COMPLETED))
    setup.ask(background=True, stream=True)
    setup.get("/responses/resp_1")
    assert setup.counted == (1, 17, 0)
    assert setup.outcomes() == {}


def test_a_stream_without_background_that_breaks_off_is_estimated(setup):
    created = {"type": "response.created", "response": response("in_progress", background=False)}
    setup.provider.says("POST /responses", sse(created, DELTA))
    setup.ask(stream=True)
    assert setup.counted[2] == 0
    assert setup.counted[1] > 0


# runs

RUN = {"id": "run_1", "object": "thread.run", "model": "gpt-5", "status": "queued", "usage": None}
RAN = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}


def test_a_run_and_its_polls(setup):
    setup.provider.says("POST /threads/t/runs", RUN)
    setup.provider.says("GET /threads/t/runs/run_1", {**RUN, "status": "in_progress"})
    setup.ask("/threads/t/runs")
    setup.get("/threads/t/runs/run_1")
    assert setup.counted == (1, 0, 1)
    setup.provider.says("GET /threads/t/runs/run_1", {**RUN, "status": "completed", "usage": RAN})
    setup.get("/threads/t/runs/run_1")
    setup.get("/threads/t/runs/run_1")
    assert setup.counted == (1, 17, 0)


def test_a_run_that_goes_on_with_the_outputs_of_tools_counts_once(setup):
    setup.provider.says("POST /threads/t/runs", RUN)
    setup.provider.says("POST /threads/t/runs/run_1/submit_tool_outputs", {**RUN, "status": "queued"})
    setup.provider.says("GET /threads/t/runs/run_1", {**RUN, "status": "completed", "usage": RAN})
    setup.ask("/threads/t/runs")
    setup.ask("/threads/t/runs/run_1/submit_tool_outputs", tool_outputs=[])
    setup.get("/threads/t/runs/run_1")
    assert setup.counted == (2, 17, 0)


def test_a_run_that_was_not_asked_for_here(setup):
    setup.provider.says("GET /threads/t/runs/run_1", {**RUN, "status": "completed", "usage": RAN})
    setup.get("/threads/t/runs/run_1")
    assert setup.counted == (0, 0, 0)


def test_a_completion_that_xai_defers(setup):
    done = {"object": "chat.completion", "model": "gpt-5", "choices": [], "usage": RAN}
    setup.provider.says("POST /chat/completions", {"request_id": "a-1"})
    setup.provider.says("GET /chat/deferred-completion/a-1", b"", 202)
    setup.ask("/chat/completions", deferred=True)
    setup.get("/chat/deferred-completion/a-1")
    assert setup.counted == (1, 0, 1)
    assert setup.value("llmmetrics_calls_without_usage_total") == 0
    setup.provider.says("GET /chat/deferred-completion/a-1", done)
    setup.get("/chat/deferred-completion/a-1")
    setup.get("/chat/deferred-completion/a-1")
    assert setup.counted == (1, 17, 0)


def test_too_many_ids_are_forgotten_and_counted(setup, monkeypatch):
    monkeypatch.setattr("llmmetrics.budgets.answers.MOST", 3)
    for n in range(5):
        setup.provider.says("POST /responses", response("queued", f"resp_{n}"))
        setup.ask(background=True)
    assert setup.counted[2] == 3
    assert setup.value("llmmetrics_forgotten_answers_total", backend="b") == 2


def test_garbage_that_is_fetched_counts_nothing(setup):
    setup.ask(background=True)
    for content in (b"", b"data: {", b"\xff\xfe", b"null", b'{"usage": {"input_tokens": -1}, "status": "completed"}'):
        setup.provider.says("GET /responses/resp_1", content)
        setup.get("/responses/resp_1")
    assert setup.counted == (1, 0, 1)


def test_a_pending_answer_costs_no_known_amount(setup):
    records = []
    with observe(records.append):
        setup.ask(background=True)
    (record,) = records
    assert (record.status, record.usage, record.cost_usd) == ("success", None, None)


def test_a_file_that_is_no_result_passes_untouched(setup):
    data = bytes(range(256)) * 1000
    client = httpx.Client(
        transport=setup.meter.transport(httpx.MockTransport(lambda _: httpx.Response(200, content=data)))
    )
    assert client.get(f"{BASE}/files/file-1/content").content == data
    assert setup.counted == (0, 0, 0)
    assert setup.value("llmmetrics_internal_errors_total") == 0
