"""Results of batches: at the batch price, once for each line, however often and in whatever pieces they are read."""

from __future__ import annotations

import httpx
import pytest
from prometheus_client import CollectorRegistry
from support.batch_setup import BASE, BATCH, DONE, OUT, Setup, asked, lines, result

from llmmetrics import BudgetExceeded, Meter
from llmmetrics.budgets.accounts import budget_rows


@pytest.fixture(params=["memory", "sqlite"])
def setup(request, tmp_path):
    setup = Setup(tmp_path if request.param == "sqlite" else None)
    setup.upload(map(asked, range(10)))
    yield setup
    setup.meter.close()


def test_the_worst_case_of_a_file_is_the_sum_of_its_lines(setup):
    setup.create()
    assert setup.state == (1, 0, 1)
    assert setup.spent == 10 * 1000 * 10e-6


def test_results_count_once_however_often_they_are_read(setup):
    setup.create()
    setup.poll()
    for _ in range(3):
        assert setup.read() == OUT
        assert setup.state == (1, 1100, 0)
        assert setup.spent == 10 * 100 * 10e-6
    assert setup.value("llmmetrics_answers_total", outcome="completed") == 1


def test_a_file_that_is_cut_off_and_then_read(setup):
    setup.create()
    setup.poll()
    setup.answers["GET /v1/files/file-out/content"] = httpx.Response(200, stream=Cut(OUT[: len(OUT) // 2]))
    with pytest.raises(httpx.ReadError):
        setup.read()
    half = OUT[: len(OUT) // 2].count(b"\n")
    assert setup.state == (1, 110 * half, 1)
    # the rest stays pending
    assert setup.spent == 0.1
    setup.answers["GET /v1/files/file-out/content"] = OUT
    setup.read()
    assert setup.state == (1, 1100, 0)
    assert setup.spent == 0.01


class Cut(httpx.SyncByteStream):
    def __init__(self, data):
        self.data = data

    def __iter__(self):
        yield self.data
        raise httpx.ReadError("cut")


def test_a_file_that_is_read_in_pieces(setup):
    setup.create()
    setup.poll()
    for start, end in ((0, 400), (400, 1500), (1500, len(OUT))):
        headers = {"content-range": f"bytes {start}-{end - 1}/{len(OUT)}"}
        piece = httpx.Response(206, content=OUT[start:end], headers=headers)
        setup.answers["GET /v1/files/file-out/content"] = piece
        setup.read()
    # the lines that a border cuts are read with the whole
    assert setup.state[1] < 1100
    setup.answers["GET /v1/files/file-out/content"] = OUT
    setup.read()
    assert setup.state == (1, 1100, 0)
    assert setup.spent == 0.01


def test_results_of_a_batch_that_was_made_elsewhere(setup):
    for _ in range(2):
        setup.read()
    assert setup.state == (0, 1100, 0)
    assert setup.spent == 0.01


@pytest.mark.parametrize(
    "end", [{"status": "failed"}, {"status": "expired", "request_counts": {"total": 10, "completed": 0, "failed": 0}}]
)
def test_a_batch_that_ends_without_results(setup, end):
    setup.create()
    setup.answers["GET /v1/batches/batch_1"] = {**BATCH, **end}
    setup.poll()
    setup.poll()
    assert setup.state == (1, 0, 0)
    assert setup.spent == 0
    assert setup.value("llmmetrics_answers_total", outcome=end["status"]) == 1


def test_a_cancelled_batch_is_billed_for_what_was_done(setup):
    setup.create()
    setup.answers["GET /v1/batches/batch_1"] = {**DONE, "status": "cancelled"}
    setup.answers["GET /v1/files/file-out/content"] = lines(result(n) for n in range(4))
    setup.poll()
    assert setup.state == (1, 0, 1)
    setup.read()
    assert setup.state == (1, 440, 0)
    assert setup.spent == 0.004
    assert setup.value("llmmetrics_answers_total", outcome="cancelled") == 1


def test_a_batch_that_does_not_fit_is_refused(setup):
    setup.answers["POST /v1/files"] = {"id": "file-2"}
    setup.upload(asked(n) for n in range(250))
    with pytest.raises(BudgetExceeded) as refused:
        setup.create("file-2")
    assert refused.value.reason == "limit"
    assert setup.state == (0, 0, 0)


@pytest.mark.parametrize("rows", [[{"text": "no request"}], [asked(0), asked(1, model=None)], []])
def test_a_file_that_was_not_seen_or_cannot_be_priced(setup, rows):
    setup.answers["POST /v1/files"] = {"id": "file-2"}
    setup.upload(rows)
    with pytest.raises(BudgetExceeded) as refused:
        setup.create("file-2")
    assert refused.value.reason == "unknown_price"


def test_an_unseen_file_with_a_warning_alone():
    setup = Setup(OnUnknownPrice="warn")
    setup.create("file-unseen")
    assert setup.spent == 0
    setup.poll()
    setup.read()
    assert setup.state == (1, 1100, 0)
    assert setup.spent == 0.01
    setup.meter.close()


def test_an_upload_passes_through_as_it_is(setup):
    seen = []
    setup.answer = lambda request: (seen.append(request.read()), httpx.Response(200, json={"id": "f"}))[1]
    client = httpx.Client(transport=setup.meter.transport(httpx.MockTransport(setup.answer), family="httpx"))
    client.post(f"{BASE}/files", data={"purpose": "batch"}, files={"file": ("x", b"\x00\xff" * 1000)})
    assert b"\x00\xff" * 1000 in seen[0]


def test_no_price_of_the_catalogue_but_the_batch_price():
    registry = CollectorRegistry()
    meter = Meter.from_settings({"Backends": [{"Name": "b", "Type": "OpenAI"}]}, registry=registry)
    answers = {"/v1/files/f/content": lines([{**result(0), "response": {"body": _body("gpt-4o-mini")}}])}
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=answers[request.url.path]))
    httpx.Client(transport=meter.transport(transport, family="httpx")).get(f"{BASE}/files/f/content")
    (cost,) = (s.value for f in registry.collect() for s in f.samples if s.name == "llm_estimated_cost_usd")
    assert cost == pytest.approx(1_000_000 * 0.15e-6 / 2)
    meter.close()


def _body(model):
    return {"object": "chat.completion", "model": model, "usage": {"prompt_tokens": 10**6, "completion_tokens": 0}}


def test_files_are_no_budgets(setup):
    setup.create()
    setup.poll()
    setup.read()
    assert {row.key for row in budget_rows(setup.meter.engine.enforcer.ledger)} == {"b"}
