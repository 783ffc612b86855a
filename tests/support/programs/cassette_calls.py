"""A suite for `tests/plugin/cassettes/test_doors.py`: one call by each client, with a cassette of its own.

It is recorded against a provider on loopback and replayed without it; each test notes what the meter has counted.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from support import sdks
from support.http_clients import ASK, HTTP_CLIENTS, STREAM
from support.socket_servers import PRICES

URL = os.environ["PROVIDER_URL"]
SOCKETS = os.environ["SOCKETS_URL"].replace("ws:", "http:")
FACTS = Path(os.environ["FACTS"])
SECRET = "sk-" + "a1B2c3D4" * 4
KEYS = {"aws_access_key_id": SECRET, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
TYPES = {**sdks.TYPES, "bedrock": "GenericOpenAI"}
PRICE = {"CostPerMillionInputTokens": 3, "CostPerMillionOutputTokens": 7}

CLIENTS = ("requests", "urllib3, pieces", "aiohttp", "aiohttp, lines", "httpx2", "httpx > aiohttp")


@pytest.fixture
def llm_settings():
    backends = [
        {"Name": name, "Type": kind, "BaseUrl": f"{URL}{'' if name == 'bedrock' else f'/{name}'}", **PRICE}
        for name, kind in TYPES.items()
    ]
    sockets = [
        {"Name": "realtime", "Type": "OpenAI", "BaseUrl": f"{SOCKETS}/v1", **PRICES},
        {"Name": "live", "Type": "Gemini", "BaseUrl": f"{SOCKETS}/gemini", **PRICES},
    ]
    return {"Backends": [*backends, *sockets]}


@pytest.fixture
def counted(request, llm_metrics):
    yield
    records = llm_metrics.records
    facts = {
        "statuses": [each.status.value for each in records],
        "tokens": dict(llm_metrics.tokens),
        "cost": str(llm_metrics.cost),
        "known": [each.usage_known for each in records],
        "models": [each.model for each in records],
    }
    with FACTS.open("a", encoding="utf8") as file:
        file.write(json.dumps({"test": request.node.name, **facts}) + "\n")


pytestmark = pytest.mark.usefixtures("counted")


def rows(*names):
    """Make parameters with a cassette each."""
    return [
        pytest.param(*row, marks=pytest.mark.llm_cassette("-".join(row).translate(PLAIN)), id="-".join(row))
        for row in names
    ]


PLAIN = {ord(" "): "_", ord(","): None, ord(">"): None, ord("."): "_"}
SHAPES = ("json", "stream")
OPERATIONS = ("converse", "converse_stream", "invoke_model", "invoke_model_with_response_stream")


@pytest.mark.parametrize(("client", "shape"), rows(*[(client, shape) for client in CLIENTS for shape in SHAPES]))
def test_raw(client, shape):
    made = HTTP_CLIENTS[client]
    made.load()
    url = f"{URL}/openai/v1/chat/completions?key={SECRET}"
    status, content = made.post(url, ASK if shape == "json" else STREAM)
    assert status == 200
    assert b"simulated" in content


OFFICIAL = ("openai.chat", "openai.responses", "anthropic", "google-genai", "groq")


@pytest.mark.parametrize(("name", "shape"), rows(*[(name, shape) for name in OFFICIAL for shape in SHAPES]))
def test_sdk(name, shape):
    sdk = sdks.SDKS[name]
    client = sdk.make(sdk.load(), URL, None, False)
    sdks.call(sdk, client, stream=shape == "stream")
    for close in sdks.closers(client, "close"):
        close()


@pytest.mark.filterwarnings("ignore:Inheritance class Aiohttp:DeprecationWarning")
@pytest.mark.parametrize(("name", "shape"), rows(*[("google-genai aio", shape) for shape in SHAPES]))
def test_google_genai_through_aiohttp(name, shape):
    pytest.importorskip("aiohttp")
    sdk = sdks.SDKS["google-genai"]
    client = sdk.make(sdk.load(), URL, None, True)

    async def ask():
        await sdks.acall(sdk, client, stream=shape == "stream")
        await client.aio.aclose()

    asyncio.run(ask())
    client.close()


@pytest.mark.llm_cassette("background")
def test_background():
    openai = pytest.importorskip("openai")
    with openai.OpenAI(api_key=SECRET, base_url=f"{URL}/openai/v1") as client:
        queued = client.responses.create(model="m-1", input="Say hi.", background=True)
        assert queued.status == "queued"
        assert client.responses.retrieve(queued.id).usage.total_tokens == 20


@pytest.mark.parametrize(("name", "shape"), rows(*[(name, shape) for name in ("hf", "together") for shape in SHAPES]))
def test_other_sdks(name, shape):
    stream = shape == "stream"
    chat = {"model": "m-1", "messages": ASK["messages"], "stream": stream}
    if name == "together":
        library = pytest.importorskip("together")
        with library.Together(api_key=SECRET, base_url=f"{URL}/openai/v1") as client:
            answer = client.chat.completions.create(**chat)
            assert [each for each in answer if each] if stream else answer.usage.total_tokens == 20
        return
    library = pytest.importorskip("huggingface_hub")
    client = library.InferenceClient(base_url=f"{URL}/openai/v1", api_key=SECRET)
    answer = client.chat.completions.create(**chat)
    assert list(answer) if stream else answer.usage.total_tokens == 20
    library.close_session()


def loaded_bedrock():
    # boto3 is slow to import, and to describe its services
    from support import bedrock

    return bedrock


@pytest.mark.parametrize(("door", "operation"), rows(*[("boto3", name) for name in OPERATIONS]))
def test_boto3(door, operation):
    bedrock = loaded_bedrock()
    session = bedrock.boto3.Session(**KEYS)
    client = session.client("bedrock-runtime", endpoint_url=URL)
    assert bedrock.drain(bedrock.ask(client, operation))
    client.close()


@pytest.mark.parametrize(("door", "operation"), rows(*[("aiobotocore", name) for name in OPERATIONS]))
def test_aiobotocore(door, operation):
    bedrock = loaded_bedrock()
    session = pytest.importorskip("aiobotocore.session").get_session()

    async def ask():
        async with session.create_client("bedrock-runtime", endpoint_url=URL, **KEYS) as client:
            answer = await bedrock.ask(client, operation)
            stream = bedrock.body(answer)
            if hasattr(stream, "read"):
                assert await stream.read()
            elif stream is not None:
                assert [each async for each in stream]

    asyncio.run(ask())


# the SDK calls a function of `websockets` as it was before version 17
old_connect = pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager:DeprecationWarning")


@old_connect
@pytest.mark.llm_cassette("realtime")
def test_realtime():
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(api_key=SECRET, base_url=f"{SOCKETS}/v1")
    with client.realtime.connect(model="gpt-realtime") as connection:
        connection.session.update(session={"type": "realtime", "output_modalities": ["audio"]})
        connection.input_audio_buffer.append(audio="AbC1" * 40)
        for _ in range(2):
            connection.response.create()
            while (event := connection.recv()).type != "response.done":
                assert event.type != "response.output_audio.delta" or event.delta == "AAAA" * 50
    client.close()


@pytest.mark.llm_cassette("realtime-async")
def test_realtime_async():
    openai = pytest.importorskip("openai")

    async def talk():
        client = openai.AsyncOpenAI(api_key=SECRET, base_url=f"{SOCKETS}/v1")
        async with client.realtime.connect(model="gpt-realtime") as connection:
            await connection.response.create(event_id=os.urandom(8).hex())
            while (await connection.recv()).type != "response.done":
                continue
        await client.close()

    asyncio.run(talk())


@old_connect
@pytest.mark.llm_cassette("responses-socket")
def test_responses_socket():
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(api_key=SECRET, base_url=f"{SOCKETS}/v1")
    with client.responses.connect() as connection:
        connection.response.create(model="gpt-5.4", input="Say hi.")
        while connection.recv().type != "response.completed":
            continue
    client.close()


@pytest.mark.llm_cassette("live")
def test_gemini_live():
    genai = pytest.importorskip("google.genai")

    async def talk():
        client = genai.Client(api_key=SECRET, http_options={"base_url": SOCKETS})
        # this SDK speaks TLS only, which the server does not
        client._api_client._websocket_base_url = lambda *_: f"{os.environ['SOCKETS_URL']}/gemini"
        client._api_client._websocket_ssl_ctx = {}
        config = {"response_modalities": ["AUDIO"]}
        async with client.aio.live.connect(model="gemini-live", config=config) as session:
            turn = {"role": "user", "parts": [{"text": "Say hi."}]}
            await session.send_client_content(turns=turn, turn_complete=True)
            assert [message async for message in session.receive()]
        client.close()

    asyncio.run(talk())


@pytest.mark.llm_cassette("closed")
def test_closed_by_the_server():
    websockets = pytest.importorskip("websockets")
    connect = pytest.importorskip("websockets.sync.client").connect
    address = f"{os.environ['SOCKETS_URL']}/v1/realtime?model=closes&api_key={SECRET}"
    with connect(address, legacy=True) as connection:
        connection.send('{"type": "response.create"}')
        with pytest.raises(websockets.ConnectionClosedError) as caught:
            connection.recv()
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1011, "keepalive")
