"""A request that httpx builds of another's stream, without `content`: what it asks is read all the same.

httpx does so for a followed redirect.
"""

from __future__ import annotations

import asyncio
import importlib
import json

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
def records(redirecting, registry):
    """Instrument the process, with injection; yield the calls that end."""
    backend = {"Name": "b", "BaseUrl": redirecting.url, "InjectStreamUsage": True, "CostPerMillionInputTokens": 1}
    meter = Meter.from_settings({"Backends": [{**backend, "CostPerMillionOutputTokens": 2}]}, registry=registry)
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
