"""Uploads and binary answers pass through untouched, through the official SDKs too; a large upload is never held."""

from __future__ import annotations

import asyncio
import hashlib
import io
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest
from prometheus_client import CollectorRegistry

from llmmetrics import Meter
from llmmetrics.testing import Answer, observe, serve

GIB = 1 << 30
MP3 = b"\xff\xfb\x90\x00" + bytes(range(256)) * 4096


class Zeros:
    """A file of a gibibyte that is not there."""

    def __init__(self):
        self.at = 0
        self.longest = 0

    def read(self, size=-1):
        assert size > 0, "all of it was asked for"
        size = min(size, GIB - self.at)
        self.at += size
        self.longest = max(self.longest, size)
        return bytes(size)

    def seek(self, offset, whence=0):
        self.at = offset + (GIB if whence == 2 else 0)
        return self.at

    def tell(self):
        return self.at


class Counting(httpx.BaseTransport):
    """Takes a request as a network does: in pieces, of which it keeps none."""

    def __init__(self, file):
        self.file = file
        self.before = self.sent = None

    def handle_request(self, request):
        self.before = self.file.at
        self.sent = sum(map(len, request.stream))
        return httpx.Response(200, json={"text": "hi", "usage": {"type": "duration", "seconds": 60}})


def test_an_upload_of_a_gibibyte_is_neither_read_ahead_nor_held():
    file, records = Zeros(), []
    inner = Counting(file)
    client = httpx.Client(transport=Meter(registry=CollectorRegistry()).transport(inner))
    request = client.build_request(
        "POST",
        "https://api.openai.com/v1/audio/transcriptions",
        data={"model": "whisper-1"},
        files={"file": ("a.wav", file)},
    )
    file.seek(0)
    with observe(records.append):
        client.send(request)
    assert inner.before == 0
    assert inner.sent == int(request.headers["content-length"]) > GIB
    assert file.longest < 1 << 20
    (record,) = records
    assert (record.model, str(record.cost_usd)) == ("whisper-1", "0.006")


@pytest.fixture
def speaker():
    """A server that answers with sound, and keeps the digest of what it was sent."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            self.server.digests.append(hashlib.sha256(body).hexdigest())
            self.send_response(200)
            self.send_header("content-type", "audio/mpeg")
            self.send_header("content-length", str(len(MP3)))
            self.end_headers()
            self.wfile.write(MP3)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.digests = []
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def metered(url, **more):
    settings = {"Backends": [{"Name": "b", "Type": "OpenAI", "BaseUrl": url, **more}]}
    return Meter.from_settings(settings, registry=CollectorRegistry())


@pytest.mark.parametrize("streamed", [False, True])
def test_sound_passes_byte_for_byte(speaker, streamed):
    openai = pytest.importorskip("openai")
    url, records = f"http://127.0.0.1:{speaker.server_port}/v1", []
    client = metered(url).wrap(openai.OpenAI(base_url=url, api_key="k", max_retries=0))
    asked = {"model": "tts-1", "input": "hello" * 200, "voice": "nova"}
    with observe(records.append):
        if streamed:
            with client.audio.speech.with_streaming_response.create(**asked) as answer:
                sound = b"".join(answer.iter_bytes())
        else:
            sound = client.audio.speech.create(**asked).content
    assert sound == MP3
    (record,) = records
    assert (record.status, record.usage_known, str(record.cost_usd)) == ("success", True, "0.015")


@pytest.fixture
def provider():
    with serve() as running:
        yield running


def test_images_and_transcriptions_through_the_sdk(provider):
    openai = pytest.importorskip("openai")
    provider.script(*[Answer("hello there", prompt_tokens=50, completion_tokens=400)] * 5)
    url, records = provider.url + "/v1", []
    prices = {"CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 10, "CostPerMillionImageOutputTokens": 100}
    meter = metered(url, **prices)
    client = meter.wrap(openai.OpenAI(base_url=url, api_key="k", max_retries=0))
    sound = ("a.wav", b"RIFF" * 1000)
    with observe(records.append):
        assert client.images.generate(model="gpt-image-2", prompt="cat", n=2).usage.output_tokens == 400
        assert client.images.edit(model="gpt-image-2", prompt="cat", image=sound).data
        assert client.audio.transcriptions.create(model="gpt-4o-transcribe", file=sound).text == "hello there"
        events = [*client.images.generate(model="gpt-image-2", prompt="cat", stream=True)]
        words = [*client.audio.transcriptions.create(model="gpt-4o-transcribe", file=sound, stream=True)]
    assert (events[-1].type, words[-1].type) == ("image_generation.completed", "transcript.text.done")
    costs = {"gpt-image-2": "0.04005", "gpt-4o-transcribe": "0.00405"}
    assert [(each.model, each.streamed) for each in records] == [
        ("gpt-image-2", False),
        ("gpt-image-2", False),
        ("gpt-4o-transcribe", False),
        ("gpt-image-2", True),
        ("gpt-4o-transcribe", True),
    ]
    assert all(each.status == "success" and str(each.cost_usd) == costs[each.model] for each in records)


def test_an_async_client_sends_a_form_too(provider):
    openai = pytest.importorskip("openai")
    url, records = provider.url + "/v1", []

    async def ask():
        client = metered(url).wrap(openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0))
        async with client:
            return await client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", b"RIFF"))

    with observe(records.append):
        assert asyncio.run(ask()).text
    (record,) = records
    assert (record.model, record.usage_known) == ("gpt-4o-transcribe", True)


@pytest.mark.parametrize("prefix", ["/groq/openai/v1", "/mistral/v1"])
def test_groq_and_mistral_say_a_stream_s_usage_unasked(provider, prefix):
    asked = {"model": "m", "messages": [], "stream": True}
    text = httpx.post(provider.url + prefix + "/chat/completions", json=asked).text
    assert '"prompt_tokens": 12' in text
    silent = httpx.post(provider.url + "/v1/chat/completions", json=asked).text
    assert '"prompt_tokens"' not in silent


@pytest.mark.parametrize("kind", ["form", "mapping"])
def test_a_form_of_aiohttp_names_its_model(provider, kind):
    aiohttp = pytest.importorskip("aiohttp")
    records = []

    async def ask():
        async with aiohttp.ClientSession() as session:
            metered(provider.url + "/v1").wrap(session)
            form = aiohttp.FormData()
            form.add_field("model", "whisper-1")
            form.add_field("file", io.BytesIO(b"RIFF"), filename="a.wav")
            data = form if kind == "form" else {"model": "whisper-1", "file": io.BytesIO(b"RIFF")}
            async with session.post(provider.url + "/v1/audio/transcriptions", data=data) as answer:
                return await answer.json()

    with observe(records.append):
        assert asyncio.run(ask())["text"]
    (record,) = records
    assert (record.model, record.usage_known) == ("whisper-1", True)


def test_a_form_of_requests_names_its_model(provider):
    requests = pytest.importorskip("requests")
    records = []
    with requests.Session() as session, observe(records.append):
        metered(provider.url + "/v1").wrap(session)
        url = provider.url + "/v1/audio/transcriptions"
        answer = session.post(url, data={"model": "whisper-1"}, files={"file": ("a.wav", b"RIFF")})
    assert answer.json()["text"]
    (record,) = records
    assert (record.model, record.usage_known) == ("whisper-1", True)
