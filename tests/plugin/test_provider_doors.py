"""`llm_provider` and the faults inside requests, urllib3, boto3, aiohttp, aiobotocore and httpx above aiohttp."""

from __future__ import annotations

import asyncio

import pytest
from support import bedrock, sampled, sdks
from support.http_clients import ASK, HTTP_CLIENTS, STREAM

from llmmetrics.testing.harness import counted
from pytest_llmmetrics import faults

URL = "https://api.openai.com/v1/chat/completions"
CLIENTS = ("requests", "urllib3, pieces", "aiohttp", "aiohttp, lines", "httpx > aiohttp", "httpx > requests > urllib3")


@pytest.fixture
def client(request):
    client = HTTP_CLIENTS[request.param]
    client.load()
    return client


each_client = pytest.mark.parametrize("client", CLIENTS, indirect=True)


@pytest.mark.parametrize("body", [ASK, STREAM], ids=["json", "stream"])
@each_client
def test_a_reply(llm_provider, llm_metrics, client, body):
    llm_provider.reply("hi", prompt_tokens=120, completion_tokens=30)
    status, content = client.post(URL, body)
    assert status == 200
    assert b"hi" in content
    assert llm_metrics.tokens == {"prompt": 120, "completion": 30, "total": 150}
    (request,) = llm_provider.requests
    assert request.json == body
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")


FAULTS = sampled(
    [
        (client, shape, fault)
        for fault in faults.FAULTS.values()
        for client in ("requests", "aiohttp")
        for shape in ("json", "stream")
    ],
    lambda row: (row[2].name, row[:2]),
)
"""Each fault once, and each client with each shape; in soak all of them."""


@pytest.mark.parametrize(
    ("client", "body", "fault"),
    [(client, {"json": ASK, "stream": STREAM}[shape], fault) for client, shape, fault in FAULTS],
    ids=[f"{client}-{shape}-{fault.name}" for client, shape, fault in FAULTS],
    indirect=["client"],
)
def test_a_fault(llm_provider, llm_metrics, client, fault, body):
    llm_provider.fail(fault)
    raised = None
    try:
        client.post(URL, body)
    except Exception as exc:
        raised = exc
    record = llm_metrics.last
    assert (record.status.value, record.error_type and record.error_type.value) == counted(
        llm_provider.requests[0], fault
    )
    assert llm_metrics.attempts == 1
    broken = fault.raises or fault.cut_after is not None or fault.stall_after is not None
    assert (raised is not None) == bool(broken)


NATIVE = {
    "requests": {
        "connect_timeout": "ConnectTimeout",
        "read_timeout": "ReadTimeout",
        "refused": "ConnectionError",
        "dns": "ConnectionError",
        "tls": "SSLError",
        "reset": "ConnectionError",
        "cut": "ChunkedEncodingError",
        "stall": "ConnectionError",
    },
    "aiohttp": {
        "connect_timeout": "ConnectionTimeoutError",
        "read_timeout": "SocketTimeoutError",
        "refused": "ClientConnectorError",
        "dns": "ClientConnectorDNSError",
        "tls": "ClientConnectorCertificateError",
        "reset": "ClientOSError",
        "cut": "ClientPayloadError",
        "stall": "SocketTimeoutError",
    },
}


@pytest.mark.parametrize(
    ("client", "fault", "name"),
    [(library, fault, name) for library, names in NATIVE.items() for fault, name in names.items()],
    indirect=["client"],
)
def test_each_library_s_own_exception(llm_provider, client, fault, name):
    llm_provider.fail(faults.FAULTS[fault])
    with pytest.raises(Exception) as caught:
        client.post(URL, STREAM)
    assert type(caught.value).__name__ == name


@pytest.mark.parametrize("operation", bedrock.ASKS)
def test_boto3(llm_provider, llm_metrics, operation):
    llm_provider.reply("hi", prompt_tokens=120, completion_tokens=30)
    made = bedrock.client("https://bedrock-runtime.us-east-1.amazonaws.com")
    bedrock.drain(bedrock.ask(made, operation))
    assert llm_metrics.tokens == {"prompt": 120, "completion": 30, "total": 150}
    llm_provider.fail(faults.BAD_KEY)
    with pytest.raises(Exception, match="UnrecognizedClientException"):
        bedrock.ask(made, operation)


@pytest.mark.parametrize("operation", bedrock.ASKS)
def test_aiobotocore(llm_provider, llm_metrics, operation):
    session = pytest.importorskip("aiobotocore.session").get_session()
    llm_provider.reply("hi", prompt_tokens=120, completion_tokens=30)
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "y", "region_name": "us-east-1"}

    async def ask():
        async with session.create_client("bedrock-runtime", **keys) as made:
            answer = await getattr(made, operation)(modelId=bedrock.MODEL, **bedrock.ASKS[operation])
            stream = answer.get("stream") or answer.get("body")
            if hasattr(stream, "read"):
                await stream.read()
            elif stream is not None:
                [_ async for _ in stream]

    asyncio.run(ask())
    assert llm_metrics.tokens == {"prompt": 120, "completion": 30, "total": 150}


@pytest.mark.filterwarnings("ignore:Inheritance class Aiohttp:DeprecationWarning")
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_google_genai_s_async_client(llm_provider, llm_metrics, stream):
    genai, sdk = pytest.importorskip("google.genai"), sdks.SDKS["google-genai"]
    pytest.importorskip("aiohttp")
    llm_provider.reply("hi", prompt_tokens=120, completion_tokens=30)
    client = genai.Client(api_key="x")

    async def ask():
        await sdks.acall(sdk, client, stream=stream)
        await client.aio.aclose()

    asyncio.run(ask())
    client.close()
    assert llm_metrics.tokens == {"prompt": 120, "completion": 30, "total": 150}
