"""A meter for tests of runs."""

from __future__ import annotations

import httpx
import pytest
from prometheus_client import CollectorRegistry

from llmmetrics import BudgetExceeded, Meter
from support.budget_setup import PRICE, URL, Clock
from support.samples import samples

ANSWER = {"model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 3}}


class Runs:
    """A meter at $1 a completion token: a call costs $3 and 8 tokens, and with `max_tokens` of 3 at most $3."""

    def __init__(self, *, answer=None, backend=(), **settings):
        self.clock, self.registry, self.sent = Clock(), CollectorRegistry(), []
        self.answer = answer or (lambda _: httpx.Response(200, json=ANSWER))
        self.meter = Meter.from_settings(
            {"Backends": [{"Name": "b", "ModelName": "m", **PRICE, **dict(backend)}], **settings},
            registry=self.registry,
            clock=self.clock,
        )
        transport = httpx.MockTransport(self.reply)
        self.client = httpx.Client(transport=self.meter.transport(transport))
        self.async_client = httpx.AsyncClient(transport=self.meter.async_transport(transport))

    def reply(self, request):
        self.sent.append(request)
        return self.answer(request)

    def call(self, **more):
        return self.client.post(URL, json={"model": "m", "messages": [], "max_tokens": 3, **more})

    async def acall(self, **more):
        return await self.async_client.post(URL, json={"model": "m", "messages": [], "max_tokens": 3, **more})

    def value(self, name, **labels):
        return sum(samples(self.registry, name, **labels))


def refused(call):
    with pytest.raises(BudgetExceeded) as caught:
        call()
    assert caught.value.reason == "run"
    return caught.value
