"""A request that httpx builds of another's stream, without `content`: what it asks is read all the same.

httpx does so for a followed redirect.
"""

from __future__ import annotations

import asyncio
import importlib
import json

import httpx
import pytest

import llmmetrics
from llmmetrics import BudgetExceeded, Meter
from llmmetrics.testing import Answer, Reply, observe, serve
from llmmetrics.testing.simulator import reply

PATH = "/v1/chat/completions"
ASK = {"model": "m-1", "stream": True, "messages": [{"role": "user", "content": "Say hi."}]}
ANSWER = Answer(prompt_tokens=11, completion_tokens=7)

each_family = pytest.mark.parametrize("family", ["httpx", "httpx2"])


@pytest.fixture
def redirecting():
    """A server that redirects the first path to another; what arrives there is answered."""
    got = []

    def answer(request):
        got.append(request)
        return Reply(307, (("location", PATH),), (b"",)) if "old" in request.path else reply(request, ANSWER)

    with serve(answering=answer) as server:
        server.got = got
        yield server


@pytest.fixture
def meter(redirecting, registry):
    """A meter with injection."""
    backend = {"Name": "b", "BaseUrl": redirecting.url, "InjectStreamUsage": True, "CostPerMillionInputTokens": 1}
    return Meter.from_settings({"Backends": [{**backend, "CostPerMillionOutputTokens": 2}]}, registry=registry)


@pytest.fixture
def records(meter):
    """Instrument the process; yield the calls that end."""
    llmmetrics.instrument(meter)
    ended = []
    with observe(ended.append):
        yield ended
    llmmetrics.uninstrument()


def check(redirecting, records):
    (record,) = records
    assert (record.model, record.status.value, record.usage_known) == ("m-1", "success", True)
    assert (record.usage.prompt, record.usage.completion) == (11, 7)
    assert redirecting.got[-1].json["stream_options"] == {"include_usage": True}


@each_family
def test_a_followed_redirect(family, redirecting, records):
    with importlib.import_module(family).Client(follow_redirects=True) as client:
        client.post(f"{redirecting.url}/old{PATH}", json=ASK)
    check(redirecting, records)


@each_family
def test_a_followed_redirect_of_an_async_client(family, redirecting, records):
    async def ask():
        async with importlib.import_module(family).AsyncClient(follow_redirects=True) as client:
            await client.post(f"{redirecting.url}/old{PATH}", json=ASK)

    asyncio.run(ask())
    check(redirecting, records)


@each_family
def test_a_request_that_is_made_of_a_stream(family, redirecting, records):
    library = importlib.import_module(family)
    body = json.dumps(ASK).encode()
    host = redirecting.url.removeprefix("http://")
    headers = {"host": host, "content-type": "application/json", "content-length": str(len(body))}
    with library.Client() as client:
        client.send(library.Request("POST", redirecting.url + PATH, headers=headers, stream=library.ByteStream(body)))
    check(redirecting, records)


@each_family
def test_a_strict_budget_knows_what_a_redirected_request_may_cost(family, redirecting, registry):
    """Without the body, the worst case would be the model's whole context."""
    backend = {"Name": "b", "BaseUrl": redirecting.url, "MaxSpendUsd": "0.001", "WorstOutputTokens": 10**9}
    prices = {"CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 2}
    settings = {"Backends": [{**backend, **prices}], "Budget": {"Ledger": "memory://", "Mode": "strict"}}
    llmmetrics.instrument(Meter.from_settings(settings, registry=registry))
    try:
        with importlib.import_module(family).Client(follow_redirects=True) as client:
            client.post(f"{redirecting.url}/old{PATH}", json={**ASK, "stream": False, "max_tokens": 10})
            with pytest.raises(BudgetExceeded):
                client.post(f"{redirecting.url}/old{PATH}", json={**ASK, "stream": False, "max_tokens": 10**6})
    finally:
        llmmetrics.uninstrument()
    assert [request.path for request in redirecting.got].count(PATH) == 1


@each_family
def test_a_changed_request_counts_once_with_two_doors(family, redirecting, meter, records):
    """The outer door changes the request, and claims its copy too."""
    library = importlib.import_module(family)
    metered = meter.transport(library.HTTPTransport(), family=family)

    class Around(library.BaseTransport):
        def handle_request(self, request):
            return metered.handle_request(request)

    with library.Client(transport=Around()) as client:
        client.post(redirecting.url + PATH, json=ASK)
    metered.close()
    check(redirecting, records)


@each_family
def test_a_changed_request_of_an_async_client_counts_once_with_two_doors(family, redirecting, meter, records):
    library = importlib.import_module(family)
    metered = meter.async_transport(library.AsyncHTTPTransport(), family=family)

    class Around(library.AsyncBaseTransport):
        async def handle_async_request(self, request):
            return await metered.handle_async_request(request)

    async def ask():
        async with library.AsyncClient(transport=Around()) as client:
            await client.post(redirecting.url + PATH, json=ASK)
        await metered.aclose()

    asyncio.run(ask())
    check(redirecting, records)


def test_a_patch_above_ours_that_stays_when_it_is_opened_again(redirecting, meter, records, monkeypatch):
    """Our method is below it twice then, and counts once."""
    ours = httpx.Client._send_single_request

    def theirs(self, request):
        return ours(self, request)

    monkeypatch.setattr(httpx.Client, "_send_single_request", theirs)
    llmmetrics.uninstrument()
    llmmetrics.instrument(meter)
    with httpx.Client() as client:
        client.post(redirecting.url + PATH, json=ASK)
    llmmetrics.uninstrument()
    monkeypatch.undo()
    httpx.Client._send_single_request = ours.__wrapped__
    check(redirecting, records)
