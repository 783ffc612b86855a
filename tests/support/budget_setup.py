"""One backend with a limit, a provider whose calls cost $3 each, and a clock that a test moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
from prometheus_client import CollectorRegistry

from llmmetrics import Meter
from support.samples import samples

START = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
URL = "https://api.openai.com/v1/chat/completions"
ASK = {"model": "m", "messages": []}
PRICE = {"CostPerMillionInputTokens": 0, "CostPerMillionOutputTokens": 1_000_000}


class Clock:
    """A clock that a test moves, wall and monotonic time together."""

    def __init__(self):
        self.at = START

    def now(self):
        return self.at

    def monotonic(self):
        return (self.at - START).total_seconds()

    uptime = monotonic

    def advance(self, **by):
        self.at += timedelta(**by)


class Setup:
    """One backend at $1 per completion token, and a provider whose answers have three of them: $3."""

    def __init__(self, limit="10", *, ledger="memory://", answer=None, backend=(), on_spend_alert=None, **budget):
        self.clock = Clock()
        self.registry = CollectorRegistry()
        self.sent = []
        self.answer = answer
        row = {
            "Name": "b",
            "MaxSpendUsd": limit,
            "SpendResetPeriod": "Daily",
            "ModelName": "m",
            **PRICE,
            **dict(backend),
        }
        settings = {
            "Budget": {"Ledger": ledger, **budget},
            "Backends": [{key: value for key, value in row.items() if value is not None}],
        }
        self.meter = Meter.from_settings(
            settings, registry=self.registry, clock=self.clock, on_spend_alert=on_spend_alert
        )
        self.client = httpx.Client(transport=self.meter.transport(httpx.MockTransport(self.reply)))

    def reply(self, request):
        self.sent.append(request)
        if self.answer is not None:
            return self.answer(request)
        return httpx.Response(200, json={"model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 3}})

    def call(self, **more):
        return self.client.post(URL, json={**ASK, **more})

    def value(self, name, **labels):
        found = samples(self.registry, name, **labels)
        return sum(found) if found else None

    @property
    def spent(self):
        return self.value("llm_backend_budget_usd", backend="b", limit_type="current")

    @property
    def refusals(self):
        return {
            reason: n
            for reason in ("limit", "unknown_price", "ledger")
            if (n := self.value("llmmetrics_budget_refusals_total", backend="b", reason=reason))
        }
