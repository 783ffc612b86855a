"""A meter with a strict limit, and a provider whose batch of ten requests has results in a file."""

from __future__ import annotations

import io
import json

import httpx
from prometheus_client import CollectorRegistry

from llmmetrics import Meter
from support.samples import samples

BASE = "https://api.openai.com/v1"


def asked(n, model="gpt-5"):
    body = {"model": model, "max_tokens": 1000, "messages": [{"role": "user", "content": "hello"}]}
    return {"custom_id": f"r{n}", "method": "POST", "url": "/v1/chat/completions", "body": body}


def result(n, tokens=100):
    usage = {"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": 10 + tokens}
    body = {"object": "chat.completion", "model": "gpt-5-2025", "usage": usage}
    return {"custom_id": f"r{n}", "response": {"status_code": 200, "body": body}, "error": None}


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


BATCH = {"id": "batch_1", "object": "batch", "status": "validating", "output_file_id": None}
DONE = {**BATCH, "status": "completed", "output_file_id": "file-out"}
OUT = lines(result(n) for n in range(10))


PRICES = {"CostPerMillionInputTokens": 0, "CostPerMillionOutputTokens": 10}


class Setup:
    def __init__(self, tmp_path=None, prices=PRICES, **budget):
        self.registry = CollectorRegistry()
        backend = {"Name": "b", "Type": "OpenAI", "MaxSpendUsd": 2, **prices}
        ledger = f"sqlite:///{tmp_path}/ledger.db" if tmp_path else "memory://"
        self.meter = Meter.from_settings(
            {"Budget": {"Ledger": ledger, "Mode": "strict", **budget}, "Backends": [backend]}, registry=self.registry
        )
        self.answers = {
            "POST /v1/files": {"id": "file-in", "object": "file"},
            "POST /v1/batches": BATCH,
            "GET /v1/batches/batch_1": DONE,
            "GET /v1/files/file-out/content": OUT,
        }
        self.client = httpx.Client(transport=self.meter.transport(httpx.MockTransport(self.answer), family="httpx"))

    def answer(self, request):
        request.read()
        content = self.answers[f"{request.method} {request.url.path}"]
        if isinstance(content, httpx.Response):
            return content
        return httpx.Response(200, **({"content": content} if isinstance(content, bytes) else {"json": content}))

    def upload(self, rows, purpose="batch"):
        return self.client.post(f"{BASE}/files", data={"purpose": purpose}, files={"file": io.BytesIO(lines(rows))})

    def create(self, file="file-in"):
        return self.client.post(f"{BASE}/batches", json={"input_file_id": file, "endpoint": "/v1/chat/completions"})

    def poll(self):
        return self.client.get(f"{BASE}/batches/batch_1")

    def read(self, **headers):
        return self.client.get(f"{BASE}/files/file-out/content", headers=headers).content

    def value(self, name, **labels):
        return sum(samples(self.registry, name, **labels))

    @property
    def spent(self):
        return round(self.value("llm_backend_budget_usd", limit_type="current"), 9)

    @property
    def state(self):
        """Requests, total tokens, pending answers."""
        tokens = self.value("llm_tokens_total", token_type="total")
        return self.value("llm_requests_total"), tokens, self.value("llmmetrics_pending_answers")
