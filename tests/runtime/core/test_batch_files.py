"""One file of results has several ways to it: by its id, by a poll, by a list. Its lines count once, and nothing stays."""

from __future__ import annotations

import httpx
import pytest
from prometheus_client import CollectorRegistry
from support.batch_setup import BASE, BATCH, DONE, OUT, Setup, asked, lines, result

from llmmetrics import Meter, wire
from llmmetrics.errors import LedgerError
from llmmetrics.wire import FORMATS

LIST = {"object": "list", "data": [{**DONE, "id": "batch_0", "output_file_id": "file-0"}, DONE]}


@pytest.fixture(params=["memory", "sqlite"])
def setup(request, tmp_path):
    setup = Setup(tmp_path if request.param == "sqlite" else None)
    setup.answers["GET /v1/batches"] = LIST
    setup.upload(map(asked, range(10)))
    setup.create()
    yield setup
    setup.meter.close()


def listed(setup):
    return setup.client.get("https://api.openai.com/v1/batches?limit=20")


WAYS = {
    "read, poll": lambda each: (each.read(), each.poll()),
    "read, poll, read": lambda each: (each.read(), each.poll(), each.read()),
    "read, list": lambda each: (each.read(), listed(each)),
    "list, read": lambda each: (listed(each), each.read()),
    "list, read, poll, read": lambda each: (listed(each), each.read(), each.poll(), each.read()),
    "poll, read, list, read": lambda each: (each.poll(), each.read(), listed(each), each.read()),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_counts_once(setup, way):
    WAYS[way](setup)
    assert setup.state == (1, 1100, 0)
    assert setup.spent == 0.01
    assert setup.value("llmmetrics_answers_total", outcome="completed") == 1


@pytest.mark.parametrize("seen", [4, 10])
def test_a_part_that_was_read_before_the_poll(setup, seen):
    size = len(lines(result(n) for n in range(seen)))
    headers = {"content-range": f"bytes 0-{size - 1}/{len(OUT)}"}
    setup.answers["GET /v1/files/file-out/content"] = httpx.Response(206, content=OUT[:size], headers=headers)
    setup.read()
    setup.answers["GET /v1/files/file-out/content"] = OUT
    setup.poll()
    setup.read()
    assert setup.state == (1, 1100, 0)
    assert setup.spent == 0.01


def test_a_batch_that_is_listed_and_not_over_stays_pending(setup):
    setup.answers["GET /v1/batches"] = {"data": [BATCH]}
    listed(setup)
    assert setup.state == (1, 0, 1)


def test_an_id_that_comes_again_is_a_new_batch_of_the_same_results(setup):
    """As a replayed recording has it: nothing is counted twice, and nothing stays pending."""
    setup.poll()
    setup.read()
    setup.create()
    assert setup.state == (2, 1100, 1)
    setup.poll()
    setup.read()
    assert setup.state == (2, 1100, 0)
    assert setup.spent == 0.01


VENDORS = {
    "GET /v1/messages/batches": ("anthropic", "anthropic.batches"),
    "GET /v1/batch/jobs": ("mistral", "mistral.batches"),
    "GET /v1beta/batches": ("google", "gemini.batches"),
    "GET /openai/v1/batches": ("groq", "openai.batches"),
    "GET /v1/threads/t/runs": ("openai", "openai.runs"),
}


@pytest.mark.parametrize("line", VENDORS)
def test_the_list_of_each_vendor(line):
    method, _, path = line.partition(" ")
    provider, format = VENDORS[line]
    claimed = wire.fetch(method, "", path, provider)
    assert claimed is not None
    assert (claimed.format.id, claimed.id, claimed.results) == (format, "", False)
    assert wire.fetch(method, "", path, "cohere") is None


def test_a_run_that_is_listed_counts_once():
    registry = CollectorRegistry()
    meter = Meter.from_settings({"Backends": [{"Name": "b", "Type": "OpenAI"}]}, registry=registry)
    run = {"id": "run_1", "object": "thread.run", "model": "gpt-5", "status": "queued", "usage": None}
    used = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
    over = {**run, "status": "completed", "usage": used}
    answers = {"POST": run, "GET": {"data": [{**over, "id": "run_0"}, over]}}
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=answers[request.method]))
    client = httpx.Client(transport=meter.transport(transport, family="httpx"))
    client.post("https://api.openai.com/v1/threads/t/runs", json={"assistant_id": "a"})
    for _ in range(2):
        client.get("https://api.openai.com/v1/threads/t/runs")
    tokens = [
        sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "llm_tokens_total" and sample.labels["token_type"] == "total"
    ]
    # an assistant's own model stands in the run alone
    assert sum(tokens) == 17
    meter.close()


BODIES = {
    "image by token": (
        {"model": "gpt-image-1", "prompt": "cat"},
        "/v1/images/generations",
        (4 + 16_384 * 8) * 5e-6 / 2,
    ),
    "image by piece": ({"model": "dall-e-3", "prompt": "cat"}, "/v1/images/generations", 0.04 / 2),
    "film": ({"model": "sora-2", "seconds": "8", "size": "1280x720"}, "/v1/videos", 0.8 / 2),
}


@pytest.mark.parametrize("name", BODIES)
def test_the_worst_case_of_images_and_films_is_the_sum_of_their_bounds(name):
    body, path, worst = BODIES[name]
    setup = Setup(prices={})
    setup.upload([{"custom_id": "a", "method": "POST", "url": path, "body": body}] * 2)
    setup.create()
    assert setup.spent == pytest.approx(2 * worst, rel=1e-3)
    setup.meter.close()


def test_a_reader_that_fails_does_not_break_the_callers_read(setup, monkeypatch):
    def broken(_line):
        raise RuntimeError("bug")

    format = next(each for each in FORMATS if each.id == "openai.batches")
    at = FORMATS.index(format)
    own = [*FORMATS[:at], format._replace(batch=format.batch._replace(result=broken)), *FORMATS[at + 1 :]]
    monkeypatch.setattr(wire, "FORMATS", own)
    setup.poll()
    assert setup.read() == OUT
    assert setup.state == (1, 0, 1)
    assert setup.value("llmmetrics_internal_errors_total") == 1


def test_a_list_of_other_batches_writes_nothing(tmp_path):
    setup = Setup(tmp_path)
    setup.answers["GET /v1/batches"] = {"data": [{**DONE, "id": f"batch_{n}"} for n in range(100)]}
    setup.client.get(f"{BASE}/batches")
    assert setup.meter.engine.enforcer.ledger.marks("") == {}


def test_results_are_counted_although_the_ledger_fails_afterwards(tmp_path, monkeypatch):
    setup = Setup(tmp_path)
    setup.upload([asked(0)])
    setup.create()
    setup.poll()
    ledger = setup.meter.engine.enforcer.ledger
    real = ledger.advance

    def advance(mark, to):
        before = real(mark, to)
        if to > before and mark.startswith("read:"):
            monkeypatch.setattr(ledger, "advance", away)
        return before

    def away(*_):
        raise LedgerError("away")

    monkeypatch.setattr(ledger, "advance", advance)
    setup.read()
    assert setup.value("llm_tokens_total", token_type="completion") > 0
