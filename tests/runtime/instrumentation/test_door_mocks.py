"""Mocks and recorders above and below the doors of requests and aiohttp, and clients that are wrapped one by one."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from inspect import signature
from types import SimpleNamespace

import pytest
import vcr
from support.http_clients import ASK, STREAM

import llmmetrics

URL = "https://api.openai.com/v1/chat/completions"
BODY = {"model": "m-1", "usage": {"prompt_tokens": 11, "completion_tokens": 7}}
PATH = "/openai/v1/chat/completions"

aiohttp = pytest.importorskip("aiohttp")
requests = pytest.importorskip("requests")

when = pytest.mark.parametrize("mock_first", [False, True], ids=["the door first", "the mock first"])


@pytest.fixture
def instrument(meter):
    yield lambda: llmmetrics.instrument(meter)
    llmmetrics.uninstrument()


def post(url, body=ASK):
    async def ask():
        async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
            return await answer.read()

    return asyncio.run(ask())


@contextmanager
def in_order(instrument, mock, *, mock_first):
    """Open the door and start a mock, in this order."""
    if not mock_first:
        instrument()
    with mock:
        if mock_first:
            instrument()
        yield


class Answer(aiohttp.ClientResponse):
    """aioresponses makes answers without an argument that aiohttp 3.14 needs."""

    def __init__(self, *args, **options):
        if "stream_writer" in signature(aiohttp.ClientResponse.__init__).parameters:
            options.setdefault("stream_writer", SimpleNamespace(output_size=0))
        super().__init__(*args, **options)


@when
def test_aioresponses(instrument, count, counted, mock_first):
    mock = pytest.importorskip("aioresponses").aioresponses()
    with in_order(instrument, mock, mock_first=mock_first):
        mock.post(URL, payload=BODY, response_class=Answer)
        post(URL)
        mock.assert_called_once_with(URL, method="POST", json=ASK)
    assert counted() == {"success": 1}
    assert count("llm_tokens_total", token_type="total") == 18


@when
def test_responses(instrument, counted, mock_first):
    """It answers above urllib3: nothing is sent, and nothing is counted."""
    mock = pytest.importorskip("responses").RequestsMock()
    with in_order(instrument, mock, mock_first=mock_first):
        mock.post(URL, json=BODY)
        assert requests.post(URL, json=ASK, timeout=9).json() == BODY
    assert counted() == {}


@when
def test_requests_mock(instrument, counted, mock_first):
    mock = pytest.importorskip("requests_mock").Mocker()
    with in_order(instrument, mock, mock_first=mock_first):
        mock.post(URL, json=BODY)
        assert requests.post(URL, json=ASK, timeout=9).json() == BODY
    assert counted() == {}


@when
@pytest.mark.parametrize("body", [ASK, STREAM], ids=["json", "stream"])
@pytest.mark.parametrize("library", ["requests", "aiohttp"])
def test_vcrpy_recording_and_replaying(instrument, provider, count, counted, tmp_path, library, body, mock_first):
    def ask(url):
        return post(url, body) if library == "aiohttp" else requests.post(url, json=body, timeout=9).content

    answers = []
    for _ in range(2):
        recorder = vcr.VCR(match_on=["method", "uri"]).use_cassette(str(tmp_path / "cassette.yaml"))
        with in_order(instrument, recorder, mock_first=mock_first):
            answers.append(ask(provider.url + PATH))
        llmmetrics.uninstrument()
    assert answers[0] == answers[1]
    assert len(provider.requests) == 1
    assert counted() == {"success": 2}
    assert count("llm_tokens_total", token_type="total") == 40


def test_wrapping_a_session_of_requests(meter, provider, count, counted):
    with requests.Session() as session, requests.Session() as other:
        session.get(f"{provider.url}/openai/v1/models")
        assert meter.wrap(session, backend="groq") is session
        meter.wrap(session, backend="groq")
        for each in (session, other):
            each.post(provider.url + PATH, json=ASK)
    assert counted() == {"success": 1}
    assert count("llm_requests_total", backend="groq") == 1


def test_wrapping_a_manager_of_pools_of_urllib3(meter, provider, counted):
    import urllib3

    with urllib3.PoolManager() as pools:
        meter.wrap(pools)
        pools.request("POST", provider.url + PATH, json=ASK)
    assert counted() == {"success": 1}


def test_wrapping_a_session_of_aiohttp(meter, provider, count, counted):
    async def ask():
        async with aiohttp.ClientSession() as session, aiohttp.ClientSession() as other:
            assert meter.wrap(session, backend="groq") is session
            meter.wrap(session, backend="groq")
            for each in (session, other):
                async with each.post(provider.url + PATH, json=ASK) as answer:
                    await answer.read()

    asyncio.run(ask())
    assert counted() == {"success": 1}
    assert count("llm_requests_total", backend="groq") == 1


@pytest.mark.parametrize("library", ["requests", "aiohttp"])
def test_a_wrapped_client_of_an_instrumented_process_names_its_backend(instrument, meter, provider, count, library):
    instrument()
    if library == "requests":
        with requests.Session() as session:
            meter.wrap(session, backend="groq").post(provider.url + PATH, json=ASK)
    else:

        async def ask():
            async with aiohttp.ClientSession() as session:
                answer = await meter.wrap(session, backend="groq").post(provider.url + PATH, json=ASK)
                await answer.read()

        asyncio.run(ask())
    assert count("llm_requests_total", backend="groq") == count("llm_requests_total") == 1


def test_a_library_imported_after_instrument():
    from support import alone

    said = alone("""
import sys, llmmetrics
from prometheus_client import CollectorRegistry
llmmetrics.instrument(llmmetrics.Meter(registry=CollectorRegistry()))
print([name for name in ("aiohttp", "requests", "urllib3", "botocore", "websockets", "uvloop") if name in sys.modules])
import aiohttp, requests
print(hasattr(aiohttp.ClientSession.post, "__wrapped__"))
print(hasattr(requests.adapters.PoolManager().connection_from_url("http://a")._make_request, "__wrapped__"))
llmmetrics.uninstrument()
print(hasattr(aiohttp.ClientSession.post, "__wrapped__"))
""")
    assert said.splitlines() == ["[]", "True", "True", "False"]
