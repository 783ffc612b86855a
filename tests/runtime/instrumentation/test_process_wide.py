"""`instrument` counts each attempt once, whatever mocks, recorders, retries and other doors are in the way."""

from __future__ import annotations

import asyncio
import importlib

import httpx
import httpx2
import pytest
import respx
import vcr
from support import alone

import llmmetrics
from llmmetrics import ConfigError, Meter
from llmmetrics.testing import faults

FAMILIES = ("httpx", "httpx2")
URL = "https://api.openai.com/v1/chat/completions"
ASK = {"model": "m-1", "messages": []}
BODY = {"model": "m-1", "usage": {"prompt_tokens": 11, "completion_tokens": 7}}


@pytest.fixture(autouse=True)
def instrumented(meter):
    llmmetrics.instrument(meter)
    yield
    llmmetrics.uninstrument()


def post(family, url=URL, *, asynchronous=False, **options):
    """One call through a client of this family; its answer."""
    library = importlib.import_module(family)
    if not asynchronous:
        with library.Client(**options) as client:
            return client.post(url, json=ASK)

    async def ask():
        async with library.AsyncClient(**options) as client:
            return await client.post(url, json=ASK)

    return asyncio.run(ask())


both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
each_family = pytest.mark.parametrize("family", FAMILIES)


@both
@each_family
def test_mock_transport(family, asynchronous, count, counted):
    library = importlib.import_module(family)
    transport = library.MockTransport(lambda _: library.Response(200, json=BODY))
    post(family, asynchronous=asynchronous, transport=transport)
    assert counted() == {"success": 1}
    assert count("llm_tokens_total", token_type="total") == 18


@both
@pytest.mark.parametrize(("family", "using"), [("httpx", "httpcore"), ("httpx2", "httpcore2"), ("httpx", "httpx")])
def test_respx(family, using, asynchronous, count, counted):
    with respx.mock(using=using) as router:
        router.post(URL).respond(json=BODY)
        post(family, asynchronous=asynchronous)
    assert counted() == {"success": 1}
    assert count("llm_tokens_total", token_type="total") == 18


@both
@each_family
def test_vcrpy_recording_and_replaying(family, asynchronous, provider, count, counted, tmp_path):
    url = f"{provider.url}/openai/v1/chat/completions"
    recorder = vcr.VCR(match_on=["method", "uri"])
    for _ in range(2):
        with recorder.use_cassette(str(tmp_path / "cassette.yaml")):
            post(family, url, asynchronous=asynchronous)
    assert len(provider.requests) == 1
    assert counted() == {"success": 2}
    assert count("llm_tokens_total", token_type="total") == 40


@both
def test_pytest_httpx(httpx_mock, asynchronous, count, counted):
    httpx_mock.add_response(json=BODY)
    post("httpx", asynchronous=asynchronous)
    assert counted() == {"success": 1}
    assert count("llm_tokens_total", token_type="total") == 18


@both
def test_an_sdk_s_two_retries(provider, counted, asynchronous, monkeypatch):
    openai = pytest.importorskip("openai")
    # the wait between the attempts is not what this is about
    monkeypatch.setattr("openai._base_client.BaseClient._calculate_retry_timeout", lambda *_: 0.0)
    provider.script(faults.SERVER_ERROR, faults.RATE_LIMIT_BARE)
    options = {"api_key": "x", "base_url": f"{provider.url}/openai/v1"}
    if asynchronous:

        async def ask():
            async with openai.AsyncOpenAI(**options) as client:
                await client.chat.completions.create(**ASK)

        asyncio.run(ask())
    else:
        with openai.OpenAI(**options) as client:
            client.chat.completions.create(**ASK)
    assert len(provider.requests) == 3
    assert counted() == {"failure": 2, "success": 1}


@each_family
def test_a_resent_request(family, provider, counted):
    with importlib.import_module(family).Client() as client:
        request = client.build_request("POST", f"{provider.url}/openai/v1/chat/completions", json=ASK)
        client.send(request)
        client.send(request)
    assert counted() == {"success": 2}


@both
@each_family
def test_a_followed_redirect(family, asynchronous, counted):
    library = importlib.import_module(family)
    other = URL.replace("api.", "eu.api.")

    def answer(request):
        if str(request.url) == URL:
            return library.Response(307, headers={"location": other})
        return library.Response(200, json=BODY)

    transport = library.MockTransport(answer)
    post(family, asynchronous=asynchronous, transport=transport, follow_redirects=True)
    assert counted() == {"success": 1}


@both
@each_family
def test_with_wrap_and_a_transport_of_the_same_meter(family, asynchronous, meter, provider, count, counted):
    library = importlib.import_module(family)
    url = f"{provider.url}/openai/v1/chat/completions"
    made = meter.async_transport if asynchronous else meter.transport
    transport = made(made(family=family), backend="groq")
    post(family, url, asynchronous=asynchronous, transport=transport)
    assert counted() == {"success": 1}
    # the transport knows the backend better than the URL does
    assert count("llm_requests_total", backend="groq") == 1
    assert library


def test_a_client_from_before(meter, provider, counted):
    llmmetrics.uninstrument()
    with httpx2.Client() as client:
        llmmetrics.instrument(meter)
        client.post(f"{provider.url}/openai/v1/chat/completions", json=ASK)
        llmmetrics.uninstrument()
        client.post(f"{provider.url}/openai/v1/chat/completions", json=ASK)
    assert counted() == {"success": 1}


def test_twice_with_one_meter_is_once(meter, counted):
    llmmetrics.instrument(meter)
    with respx.mock() as router:
        router.post(URL).respond(json=BODY)
        post("httpx")
    assert counted() == {"success": 1}


def test_two_meters(registry):
    with pytest.raises(ConfigError, match="already instrumented with another meter: use one meter"):
        llmmetrics.instrument(Meter(registry=registry))


def test_what_is_no_meter():
    llmmetrics.uninstrument()
    with pytest.raises(ConfigError, match="instrument takes a Meter, not <class 'llmmetrics"):
        llmmetrics.instrument(Meter)


def test_nothing_is_left_behind():
    llmmetrics.uninstrument()
    for library in (httpx, httpx2):
        for client in (library.Client, library.AsyncClient):
            assert not hasattr(client._send_single_request, "__wrapped__")
    llmmetrics.uninstrument()


def test_both_families_as_one():
    # it changes the whole process
    said = alone("""
import httpx2
httpx2.alias_httpx()
import httpx, llmmetrics
from prometheus_client import CollectorRegistry
before = httpx._client.Client._send_single_request
meter = llmmetrics.Meter(registry=CollectorRegistry())
llmmetrics.instrument(meter)
answer = {"model": "m", "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
with httpx.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, json=answer))) as client:
    client.post("https://api.openai.com/v1/chat/completions", json={"model": "m"})
labels = {"backend": "openai", "model": "m", "status": "success"}
print(httpx is httpx2, meter.registry.get_sample_value("llm_requests_total", labels))
llmmetrics.uninstrument()
print(httpx.Client._send_single_request is before)
""")
    assert said.splitlines() == ["True 1.0", "True"]


def test_a_patch_over_ours_stays(meter, counted, monkeypatch):
    ours = httpx.Client._send_single_request
    seen = []

    def theirs(self, request):
        seen.append(request)
        return ours(self, request)

    monkeypatch.setattr(httpx.Client, "_send_single_request", theirs)
    llmmetrics.uninstrument()
    with respx.mock() as router:
        router.post(URL).respond(json=BODY)
        post("httpx")
    assert len(seen) == 1
    assert counted() == {}
    monkeypatch.undo()
    httpx.Client._send_single_request = ours.__wrapped__
