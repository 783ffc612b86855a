"""A meter with several backends, for tests of failover."""

from __future__ import annotations

import httpx
from prometheus_client import CollectorRegistry

import llmmetrics
from llmmetrics import Meter
from support.budget_setup import Clock

PRICE = {"CostPerMillionInputTokens": 0, "CostPerMillionOutputTokens": 1_000_000}
OK = {"model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 3}}


class Backends:
    """Backends `a`, `b`, `c` … at hosts of their own; `answers` has the next replies of each."""

    def __init__(self, *, budget=(), a=(), b=(), c=(), names="abc", **health):
        self.clock, self.registry, self.sent = Clock(), CollectorRegistry(), []
        self.answers = {name: [] for name in names}
        more = {"a": a, "b": b, "c": c}
        self.meter = Meter.from_settings(
            {
                "Health": health,
                "Budget": {"Ledger": "memory://", **dict(budget)},
                "Backends": [
                    {"Name": name, "BaseUrl": f"https://{name}.example", **PRICE, **dict(more.get(name, ()))}
                    for name in names
                ],
            },
            registry=self.registry,
            clock=self.clock,
        )
        self.client = httpx.Client(transport=self.meter.transport(httpx.MockTransport(self.reply)))

    def reply(self, request):
        name = request.url.host[0]
        self.sent.append(name)
        reply = self.answers[name].pop(0) if self.answers[name] else 200
        if isinstance(reply, Exception):
            raise reply
        status, headers = reply if isinstance(reply, tuple) else (reply, {})
        return httpx.Response(status, headers=headers, json=OK if status == 200 else {"error": {"message": "no"}})

    def post(self, host):
        response = self.client.post(f"https://{host}.example/v1/chat/completions", json={"model": "m", "messages": []})
        return response.raise_for_status()

    def first(self, *names, **kwargs):
        tries = [(name, lambda name=name: self.post(name).url.host[0]) for name in names]
        return llmmetrics.first(*tries, meter=self.meter, **kwargs)

    def samples(self, name):
        return {
            tuple(sample.labels.values()): sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == name and sample.value
        }

    @property
    def steps(self):
        return self.samples("llmmetrics_failovers_total")
