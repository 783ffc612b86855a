"""aiobotocore's Bedrock clients, through the door of aiohttp: calls, streams, retries, refusals, `wrap`."""

from __future__ import annotations

import asyncio

import pytest
from support.bedrock import ASKS, MODEL, STREAMS

import llmmetrics
from llmmetrics import ConfigError
from llmmetrics.testing import Answer, faults

session = pytest.importorskip("aiobotocore.session", reason="needs aiobotocore: pip install aiobotocore")

ANSWER = Answer(prompt_tokens=123, completion_tokens=45)


@pytest.fixture
def instrumented(meter, provider):
    provider.default = ANSWER
    llmmetrics.instrument(meter)
    yield
    llmmetrics.uninstrument()


def connect(url, service="bedrock-runtime"):
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "y", "region_name": "us-east-1"}
    return session.get_session().create_client(service, endpoint_url=url, **keys)


async def ask(bedrock, operation):
    answer = await getattr(bedrock, operation)(modelId=MODEL, **ASKS[operation])
    stream = answer.get("stream") or answer.get("body")
    if hasattr(stream, "read"):
        await stream.read()
    elif stream is not None:
        [_ async for _ in stream]
    return answer


@pytest.mark.parametrize("operation", ASKS)
def test_each_operation(instrumented, provider, count, counted, operation):
    async def both():
        async with connect(f"{provider.url}/bedrock") as bedrock:
            await ask(bedrock, operation)
            provider.script(faults.FORBIDDEN)
            with pytest.raises(Exception, match=r"403|Access"):
                await ask(bedrock, operation)

    asyncio.run(both())
    assert len(provider.requests) == 2
    assert counted() == {"success": 1, "failure": 1}
    assert count("llm_tokens_total", token_type="prompt", model=MODEL) == 123
    assert count("llm_tokens_total", token_type="completion", model=MODEL) == 45
    assert operation not in STREAMS or provider.requests[0].path.endswith("stream")


def test_each_retry_is_an_attempt(instrumented, provider, counted, monkeypatch):
    async def at_once(_):
        return None

    monkeypatch.setattr("aiobotocore.endpoint.asyncio.sleep", at_once)
    provider.script(faults.SERVER_ERROR)

    async def once():
        async with connect(f"{provider.url}/bedrock") as bedrock:
            await ask(bedrock, "converse")

    asyncio.run(once())
    assert len(provider.requests) == 2
    assert counted() == {"failure": 1, "success": 1}


def test_other_services_are_left_alone(instrumented, provider, count):
    async def buckets():
        async with connect(provider.url, "s3") as s3:
            with pytest.raises(Exception):  # noqa: B017 - it is no S3 that answers
                await s3.list_buckets()

    asyncio.run(buckets())
    assert provider.requests
    assert count("llmmetrics_unmetered_requests_total") == 0


def test_wrap_meters_one_client(meter, provider, counted):
    async def wrapped():
        async with connect(f"{provider.url}/bedrock") as other, connect(f"{provider.url}/bedrock") as bedrock:
            await ask(other, "converse")
            assert meter.wrap(bedrock) is bedrock
            meter.wrap(bedrock)
            await ask(bedrock, "converse")
            with pytest.raises(ConfigError, match="AWS's s3"):
                async with connect(provider.url, "s3") as s3:
                    meter.wrap(s3)

    asyncio.run(wrapped())
    assert counted() == {"success": 1}


def test_a_spent_budget_is_the_provider_s_error(limited, provider, count):
    from botocore.exceptions import ClientError

    async def twice():
        async with connect(f"{provider.url}/openai") as bedrock:
            limited.wrap(bedrock)
            await ask(bedrock, "converse")
            with pytest.raises(ClientError) as caught:
                await ask(bedrock, "converse")
        return caught.value

    refused = asyncio.run(twice())
    assert refused.response["Error"]["Code"] == "ServiceQuotaExceededException"
    assert llmmetrics.budget_exceeded(refused).reason == "limit"
    assert len(provider.requests) == 1
    assert count("llmmetrics_budget_refusals_total") == 1
