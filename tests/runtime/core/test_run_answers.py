"""Answers that come later, in runs and limits of tags: pending at the worst case until they are read."""

from __future__ import annotations

import gc
import json

import httpx
import pytest
from prometheus_client import CollectorRegistry
from support.budget_setup import PRICE, Clock
from support.servers import until

from llmmetrics import BudgetExceeded, Meter, spending, tags
from llmmetrics.budgets.ledgers import open_ledger

BASE = "https://api.openai.com/v1/responses"
DAILY = {"Tag": "tenant", "Value": "*", "MaxSpendUsd": 7, "SpendResetPeriod": "Daily"}


class Background:
    """A meter at $1 a completion token: an answer has 3, and may have 5."""

    def __init__(self, ledger=None, *, mode="strict", limits=(), **backend):
        self.asked, self.status = 0, "completed"
        self.registry, self.clock = CollectorRegistry(), Clock()
        self.meter = Meter.from_settings(
            {
                "Budget": {"Mode": mode, **({"Ledger": ledger} if ledger else {})},
                "Attribution": {"Keys": ["tenant"], "Limits": list(limits)},
                "Backends": [{"Name": "b", "ModelName": "m", **PRICE, **backend}],
            },
            registry=self.registry,
            clock=self.clock,
        )
        self.client = httpx.Client(transport=self.meter.transport(httpx.MockTransport(self.reply)))

    def reply(self, request):
        usage = {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}
        if request.method == "GET":
            id, status = request.url.path.rpartition("/")[2], self.status
        else:
            self.asked += 1
            id, status = f"resp_{self.asked}", "queued"
        body = {"id": id, "object": "response", "model": "m", "status": status, "background": True}
        return httpx.Response(200, json={**body, "usage": usage if status == "completed" else None})

    def ask(self):
        self.client.post(BASE, json={"model": "m", "background": True, "max_output_tokens": 5}).raise_for_status()

    def fetch(self, number=1):
        self.client.get(f"{BASE}/resp_{number}")


def test_the_worst_case_is_pending_until_the_answer_is_read(ledger):
    jobs = Background(ledger)
    with spending(usd="8") as run:
        jobs.ask()
        assert (run.spent, run.remaining) == (5, 3)
        with pytest.raises(BudgetExceeded):
            jobs.ask()
        jobs.fetch()
        assert (run.spent, run.remaining, run.calls, run.tokens) == (3, 5, 1, 8)
        jobs.fetch()
        assert run.spent == 3
        (row,) = run.report()
        assert (row.calls, row.tokens, row.known, row.pending) == (1, 8, 3, 0)
        jobs.ask()
    (row,) = run.report()
    assert (row.calls, row.known, row.pending, run.spent) == (2, 3, 5, 8)


def test_tokens_are_pending_too():
    jobs = Background()
    body = len(b'{"model":"m","background":true,"max_output_tokens":5}')
    with spending(tokens=body + 5) as run:
        jobs.ask()
        assert run.tokens == body + 5
        with pytest.raises(BudgetExceeded):
            jobs.ask()
        jobs.fetch()
        assert run.tokens == 8


@pytest.mark.parametrize("mode", ["documented", "shadow"])
def test_outside_strict_the_estimate_is_pending(mode):
    jobs = Background()
    with spending(usd="3", mode=mode) as run:
        jobs.ask()
        assert run.spent == 0
        jobs.fetch()
        assert run.spent == 3


@pytest.mark.parametrize(("status", "spent"), [("cancelled", 5), ("failed", 0)])
def test_an_answer_without_usage_stays_at_its_worst_case_unless_it_failed(status, spent):
    jobs = Background()
    with spending(usd="8") as run:
        jobs.ask()
        jobs.status = status
        jobs.fetch()
        assert run.spent == spent


def test_a_named_run_is_settled_by_whatever_process_reads_the_answer(ledger):
    if ledger == "memory://":
        pytest.skip("one process alone has it")
    jobs, other = Background(ledger), Background(ledger, MaxSpendUsd=100)
    with spending(usd="8", name="job") as run:
        jobs.ask()
        assert run.spent == 5
    other.fetch()
    other.fetch()
    assert (run.spent, run.remaining) == (3, 5)


def test_the_limit_of_a_tag_is_settled_in_the_window_of_its_call(ledger):
    jobs = Background(ledger, limits=[DAILY])
    with tags(tenant="acme"):
        jobs.ask()
        with pytest.raises(BudgetExceeded) as caught:
            jobs.ask()
        assert caught.value.spent == 5
        jobs.clock.advance(days=1)
        jobs.fetch()
        jobs.ask()
        jobs.clock.advance(days=-1)
        with pytest.raises(BudgetExceeded) as caught:
            jobs.ask()
        assert caught.value.spent == 3


def test_an_answer_that_is_read_after_the_end_of_its_run_leaves_nothing(tmp_path):
    ledger = f"sqlite:///{tmp_path / 'ledger.db'}"
    jobs = Background(ledger)
    with spending(usd="8", name="job", ttl=60):
        jobs.ask()
    jobs.clock.advance(seconds=120)
    jobs.meter.engine.enforcer._recur()
    kept = open_ledger(ledger, namespace="default", durability="normal")
    # the worker's thread may do it just now
    until(lambda: not kept.marks("run-ends:"), "the run is deleted")
    jobs.fetch()
    assert [row.key for row in kept.history() if row.key.startswith("run:")] == []
    assert kept.pending_counts() == {}


def test_a_run_that_is_gone_is_not_held_by_its_answer():
    jobs = Background()
    with spending(usd="8") as run:
        jobs.ask()
    del run
    gc.collect()
    jobs.fetch()
    assert jobs.registry.get_sample_value("llm_estimated_cost_usd", {"backend": "b", "model": "m"}) == 3


def test_pending_answers_are_counted_by_backends_alone(ledger):
    jobs = Background(ledger)
    with spending(usd="8", name="job"):
        jobs.ask()
    assert jobs.registry.get_sample_value("llmmetrics_pending_answers", {"backend": "b"}) == 1
    assert [
        sample.labels["backend"]
        for family in jobs.registry.collect()
        if family.name == "llmmetrics_pending_answers"
        for sample in family.samples
    ] == ["b"]


def test_an_inline_batch_is_pending_at_the_sum_of_its_requests():
    """Anthropic's batches stand in the request; two requests of at most 4 tokens, at half the price."""
    message = {"type": "message", "model": "m", "content": [], "usage": {"input_tokens": 1, "output_tokens": 2}}
    answers = {
        "POST": {"id": "msgbatch_1", "type": "message_batch", "processing_status": "in_progress"},
        "GET": "\n".join(
            json.dumps({"custom_id": str(n), "result": {"type": "succeeded", "message": {**message, "id": str(n)}}})
            for n in range(2)
        ),
    }

    def reply(request):
        answer = answers[request.method]
        return httpx.Response(200, **({"text": answer} if isinstance(answer, str) else {"json": answer}))

    meter = Meter.from_settings(
        {"Backends": [{"Name": "claude", "Type": "Anthropic", "ModelName": "m", **PRICE}]}, registry=CollectorRegistry()
    )
    client = httpx.Client(transport=meter.transport(httpx.MockTransport(reply)))
    one = {"model": "m", "max_tokens": 4, "messages": [{"role": "user", "content": "Hi"}]}
    base = "https://api.anthropic.com/v1/messages/batches"
    with spending(usd="100") as run:
        client.post(base, json={"requests": [{"custom_id": str(n), "params": one} for n in range(2)]})
        pending = run.spent
        assert pending > 0
        client.get(f"{base}/msgbatch_1/results")
        (row,) = run.report()
        assert 0 < run.spent < pending
        assert (row.pending, row.known, row.tokens) == (0, run.spent, 6)
