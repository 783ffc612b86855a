"""Recorded traffic through live transports: the same, however the bytes arrive."""

from __future__ import annotations

import asyncio
import random
import re

import httpx
import httpx2
import pytest
from prometheus_client import CollectorRegistry
from support import SOAK

from llmmetrics import Meter, read_exchange
from llmmetrics.reading.error_types import status_of
from llmmetrics.testing import observe
from llmmetrics.wire import claim
from llmmetrics.wire.framing import eventstream

# what a server frames its messages with, and not what they say
_TRANSFER = ("content-length", "transfer-encoding")


@pytest.fixture(scope="module")
def recorded(corpus):
    """Each exchange with what `read_exchange` says of it."""
    found = []
    for row in corpus:
        row["response_headers"] = [tuple(h) for h in row["response_headers"] if h[0].lower() not in _TRANSFER]
        names = ("method", "url", "request_body", "status", "response_headers", "response_body")
        found.append((row, read_exchange(request_headers=[], **{name: row[name] for name in names})))
    return found


def chunks(body, size):
    """A body as it arrives: in pieces of this size, whole, or an event at a time."""
    if size == "event":
        if eventstream.is_eventstream(body):
            return eventstream.split(body)[0]
        return [each for each in re.split(rb"(?<=\n\n)", body) if each]
    size = len(body) if size == "whole" else size
    return [body[start : start + size] for start in range(0, len(body), size or 1)]


def same(row, expected, record):
    """Every field of an `Exchange`, as far as a live call has it: one without usage has an estimate instead."""
    named = expected.model_requested or "unknown"
    assert (record.provider, record.api, record.model) == (expected.provider, expected.api, named), row["id"]
    assert record.error_type == expected.error_type, row["id"]
    assert record.status == status_of(expected.error_type), row["id"]
    assert record.http_status == row["status"]
    if row["status"] >= 400:
        assert (record.usage, record.cost_usd, record.model_responded) == (None, 0, None), row["id"]
        return
    assert record.model_responded == expected.model_responded, row["id"]
    if record.usage is None:
        # its answer comes later, with the usage
        assert (expected.usage, record.cost_usd) == (None, None), row["id"]
        return
    assert record.usage_known == (expected.usage is not None), row["id"]
    if expected.usage is not None:
        # with its buckets
        assert (record.usage, record.cost_usd) == (expected.usage, expected.cost_usd), row["id"]
    else:
        assert (expected.cost_usd, record.usage.total >= 0) == (None, True), row["id"]


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("family", [httpx, httpx2], ids=["httpx", "httpx2"])
@pytest.mark.parametrize("size", [1, 7, "event", "whole"])
def test_live_calls_are_read_as_recorded_ones(recorded, family, size, mode):
    """Every exchange through a live transport (a tenth, unless soaking)."""
    chosen = recorded if SOAK else random.Random(f"{size}{mode}").sample(recorded, len(recorded) // 10)
    meter = Meter.from_settings({"Telemetry": {"MaxModelsPerBackend": 1000}}, registry=CollectorRegistry())
    current = {}

    class Body(family.SyncByteStream, family.AsyncByteStream):
        def __iter__(self):
            yield from chunks(current["response_body"], size)

        async def __aiter__(self):
            for each in chunks(current["response_body"], size):
                yield each

    class Inner(family.BaseTransport, family.AsyncBaseTransport):
        def handle_request(self, request):
            return family.Response(current["status"], headers=current["response_headers"], stream=Body())

        async def handle_async_request(self, request):
            return self.handle_request(request)

    async def replay():
        client = family.Client(transport=meter.transport(Inner(), family=family.__name__))
        ours = family.AsyncClient(transport=meter.async_transport(Inner(), family=family.__name__))
        for row, expected in chosen:
            current.update(row)
            if mode == "sync":
                client.request(row["method"], row["url"], content=row["request_body"])
            else:
                await ours.request(row["method"], row["url"], content=row["request_body"])
            if expected.api is None:
                # not an LLM call: it passes uncounted
                assert not records, row["id"]
            else:
                same(row, expected, records.pop())

    records = []
    with observe(records.append):
        asyncio.run(replay())
    assert not records


def test_a_mock_that_has_read_its_answer_is_read_by_its_headers_too():
    """Bedrock says some counts in headers only, also where the answer never streams past."""
    headers = {"x-amzn-bedrock-input-token-count": "7", "x-amzn-bedrock-output-token-count": "2"}

    class Inner(httpx.BaseTransport):
        def handle_request(self, request):
            return httpx.Response(200, headers=headers, json={"text": "a test"})

    url = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/cohere.command-r-v1%3A0/invoke"
    assert claim("POST", "bedrock-runtime.eu-west-1.amazonaws.com", "/model/cohere.command-r-v1:0/invoke")
    records = []
    with observe(records.append):
        client = httpx.Client(transport=Meter(registry=CollectorRegistry()).transport(Inner()))
        client.post(url, json={"message": "?"})
    assert (records[0].usage.prompt, records[0].usage.completion) == (7, 2)
    assert records[0].model == "cohere.command-r-v1:0"
