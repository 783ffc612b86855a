"""Runs, tags and failover through two meters on one ledger, as two processes have them: what each ledger must do."""

from __future__ import annotations

import httpx
import pytest
from prometheus_client import CollectorRegistry

import llmmetrics
from llmmetrics import BudgetExceeded, Meter, spending, tags
from llmmetrics.budgets.tag_sums import day_of
from support.budget_setup import START, Clock

PRICE = {"CostPerMillionInputTokens": 0, "CostPerMillionOutputTokens": 1_000_000}
DAILY = {"SpendResetPeriod": "Daily"}
USAGE = {"prompt_tokens": 5, "completion_tokens": 3}


class Side:
    """A meter with the backends `a` ($6 a day) and `b`: a call costs $3, and with `max_tokens` of 3 at most $3."""

    def __init__(self, url, namespace, durability="normal"):
        self.clock, self.asked = Clock(), 0
        self.meter = Meter.from_settings(
            {
                "Budget": {"Ledger": url, "Namespace": namespace, "Mode": "strict", "Durability": durability},
                "Attribution": {"Keys": ["tenant"], "Limits": [{"Tag": "tenant", "MaxSpendUsd": 7, **DAILY}]},
                "Backends": [
                    {"Name": "a", "BaseUrl": "https://a.example", **PRICE, "MaxSpendUsd": 6, **DAILY},
                    {"Name": "b", "BaseUrl": "https://b.example", **PRICE},
                ],
            },
            registry=CollectorRegistry(),
            clock=self.clock,
        )
        self.client = httpx.Client(transport=self.meter.transport(httpx.MockTransport(self.reply)))

    def reply(self, request):
        if "/responses" not in request.url.path:
            return httpx.Response(200, json={"model": "m", "usage": USAGE})
        status = "completed" if request.method == "GET" else "queued"
        usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7} if status == "completed" else None
        body = {"id": "resp_1", "object": "response", "model": "m", "background": True, "status": status}
        return httpx.Response(200, json={**body, "usage": usage})

    def call(self, backend="b"):
        url = f"https://{backend}.example/v1/chat/completions"
        self.client.post(url, json={"model": "m", "messages": [], "max_tokens": 3}).raise_for_status()
        return backend

    def first(self):
        return llmmetrics.first(*((name, lambda name=name: self.call(name)) for name in "ab"), meter=self.meter)

    def refused(self):
        with pytest.raises(BudgetExceeded) as caught:
            self.call()
        return caught.value

    def recur(self):
        self.meter.engine.enforcer._recur()


def play(one, other):
    """Do everything once, with exact amounts. The sides are two meters on one ledger, or one twice."""
    runs(one, other)
    later(one, other)
    tenants(one, other)
    failover(one, other)
    for each in (one, other):
        each.meter.close()


def runs(one, other):
    with spending(usd="10", calls=3, tokens=10**6, name="job", ttl=600) as run:
        one.call()
        other.call()
        one.call()
        assert (run.spent, run.remaining, run.calls, run.tokens) == (9, 1, 3, 24)
        refusal = other.refused()
    assert (refusal.reason, refusal.run, refusal.spent, refusal.limit) == ("run", "job", 9, 10)


def later(one, other):
    url = "https://b.example/v1/responses"
    with spending(usd="6", name="later", ttl=600) as run:
        one.client.post(url, json={"model": "m", "background": True, "max_output_tokens": 4})
        assert run.spent == 4
        refusal = other.refused()
        assert refusal.spent == 4
        for each in (other, one):
            each.client.get(f"{url}/resp_1")
            assert run.spent == 2
        other.call()
    for side in {one, other}:
        side.clock.advance(seconds=601)
        side.recur()
    assert [row.key for row in one.meter.engine.enforcer.ledger.history() if row.key.startswith("run")] == []
    assert not one.meter.engine.enforcer.ledger.marks("run-ends:")


def tenants(one, other):
    for tenant in ("acme", "b"):
        with tags(tenant=tenant):
            one.call()
            other.call()
            assert (refusal := one.refused()).backend == f"tenant={tenant}"
            assert (refusal.reason, refusal.spent, refusal.limit) == ("limit", 6, 7)
    for side in {one, other}:
        side.recur()
    sums = one.meter.engine.enforcer.ledger.tallies("tenant", day_of(START), day_of(START))
    assert dict(sums) == {"acme": 6 * 10**12, "b": 6 * 10**12}


def failover(one, other):
    assert [side.first() for side in (one, other, one, other)] == ["a", "a", "b", "b"]
    for side in {one, other}:
        side.clock.advance(days=1)
    assert other.first() == "a"
