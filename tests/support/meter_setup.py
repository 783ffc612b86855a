"""A meter with a provider that answers as a test says."""

from __future__ import annotations

import httpx
from prometheus_client import CollectorRegistry

from llmmetrics import Meter
from llmmetrics.core import engine
from llmmetrics.testing import observe
from support.samples import samples

USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}

URL = "https://api.openai.com/v1/chat/completions"


class Setup:
    """A meter whose provider answers what the test says, and the records of its calls."""

    def __init__(self, settings=None, **kwargs):
        self.registry = CollectorRegistry()
        self.meter = Meter.from_settings(settings or {}, registry=self.registry, **kwargs)
        self.body: dict | bytes = {"usage": USAGE}
        self.status = 200
        self.client = httpx.Client(transport=self.meter.transport(httpx.MockTransport(self.answer)))

    def answer(self, request):
        content = {"content": self.body} if isinstance(self.body, bytes) else {"json": self.body}
        return httpx.Response(self.status, **content)

    def post(self, url=URL, model="gpt-4o-mini", **body):
        records = []
        with observe(records.append):
            self.client.post(url, json={"model": model, **body})
        (record,) = records
        return record

    def value(self, name, **labels):
        return sum(samples(self.registry, name, **labels))

    def has(self, name, **labels):
        return bool(samples(self.registry, name, **labels))


def backend(name, kind="OpenAI", **keys):
    return {"Name": name, "Type": kind, **keys}


def no_other_meter():
    """Hide the meters that earlier tests have left in reference cycles: a generator for a fixture."""
    others = list(engine.alive)
    for each in others:
        engine.alive.discard(each)
    yield
    for each in others:
        engine.alive.add(each)
