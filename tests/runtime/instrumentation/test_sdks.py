"""Every official SDK, sync and async, JSON and streams, through each door: what was counted is what was sent."""

from __future__ import annotations

import asyncio
import gc

import pytest
from support.sdks import MODEL, SDKS, acall, call, closers, http_client, refused_as_forbidden

import llmmetrics
from llmmetrics.testing import Answer, faults, observe

DOORS = ("transport", "wrap", "instrument", "all three")
ANSWER = Answer(prompt_tokens=123, completion_tokens=45)


@pytest.fixture(params=DOORS)
def door(request):
    yield request.param
    llmmetrics.uninstrument()


def client_of(sdk, url, meter, door, *, asynchronous):
    library, http = sdk.load(), None
    if door in ("transport", "all three"):
        made = meter.async_transport if asynchronous else meter.transport
        http = http_client(sdk.family, made(family=sdk.family), asynchronous=asynchronous)
    client = sdk.make(library, url, http, asynchronous)
    if door in ("wrap", "all three"):
        assert meter.wrap(client) is client
        meter.wrap(client)
    if door in ("instrument", "all three"):
        llmmetrics.instrument(meter)
    return client


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("name", SDKS)
# what an SDK leaves open of its own (the other half of its client) is its own business
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:Inheritance class Aiohttp:DeprecationWarning")
def test_an_sdk(meter, provider, count, counted, door, name, asynchronous, stream):
    sdk = SDKS[name]
    provider.default = ANSWER
    records = []
    with observe(records.append):
        if asynchronous:

            async def both():
                client = client_of(sdk, provider.url, meter, door, asynchronous=True)
                await acall(sdk, client, stream=stream)
                provider.script(faults.FORBIDDEN)
                with pytest.raises(Exception, check=refused_as_forbidden):  # noqa: B017 - each SDK has its own
                    await acall(sdk, client, stream=stream)
                for aclose in closers(client, "aclose"):
                    await aclose()

            asyncio.run(both())
        else:
            client = client_of(sdk, provider.url, meter, door, asynchronous=False)
            call(sdk, client, stream=stream)
            provider.script(faults.FORBIDDEN)
            with pytest.raises(Exception, check=refused_as_forbidden):  # noqa: B017 - each SDK has its own
                call(sdk, client, stream=stream)
            for close in closers(client, "close"):
                close()
    gc.collect()
    assert len(provider.requests) == 2
    assert counted() == {"success": 1, "failure": 1}
    labels = {"backend": sdk.backend, "model": MODEL}
    assert count("llm_tokens_total", token_type="prompt", **labels) == ANSWER.prompt_tokens
    assert count("llm_tokens_total", token_type="completion", **labels) == ANSWER.completion_tokens
    assert count("llm_estimated_cost_usd", **labels) == pytest.approx((123 * 1 + 45 * 2) / 1e6)
    assert count("llm_errors_total", backend=sdk.backend, error_type="auth") == 1
    assert count("llm_errors_total") == 1
    assert [each.usage_known for each in records] == [True, True]
    row = (name, "async" if asynchronous else "sync", "stream" if stream else "JSON", door)
    print(" ".join(f"{cell:<17}" for cell in row), "prompt, completion, cost, status, error type: equal")  # noqa: T201


@pytest.mark.parametrize("name", ["openai.chat", "anthropic", "groq"])
def test_retries_as_the_sdk_says(meter, provider, count, name):
    sdk = SDKS[name]
    client = sdk.make(sdk.load(), provider.url, None, False).with_options(max_retries=2)
    meter.wrap(client)
    assert count("llmmetrics_retries_total", backend=sdk.backend) == 0
    # an answer without Retry-After: the SDK waits for half a second at most
    provider.script(faults.SERVER_ERROR, ANSWER, ANSWER)
    call(sdk, client, stream=False)
    call(sdk, client, stream=False)
    client.close()
    assert count("llm_requests_total", backend=sdk.backend) == 3
    assert count("llmmetrics_retries_total", backend=sdk.backend) == 1
    assert count("llmmetrics_retries_total") == 1
