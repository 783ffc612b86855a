"""`wrap` meters what is inside a client, keeps everything that the client was made with, and says what it cannot do."""

from __future__ import annotations

import asyncio
import gc
import importlib
import io
import types

import httpx
import httpx2
import pytest
from prometheus_client import CollectorRegistry
from support.sdks import closers

from llmmetrics import ConfigError, Meter

FAMILIES = ("httpx", "httpx2")
URL = "https://api.openai.com/v1/chat/completions"
ASK = {"model": "m-1", "messages": []}
BODY = {"model": "m-1", "usage": {"prompt_tokens": 11, "completion_tokens": 7}}

each_family = pytest.mark.parametrize("library", [importlib.import_module(name) for name in FAMILIES], ids=FAMILIES)


def mock(library, seen=None):
    def answer(request):
        if seen is not None:
            seen.append(request)
        return library.Response(200, json=BODY)

    return library.MockTransport(answer)


@each_family
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_everything_stays_as_it_was(library, asynchronous, meter):
    kind = library.AsyncClient if asynchronous else library.Client
    limits = library.Limits(max_connections=7)
    client = kind(proxy="http://proxy.example:3128", limits=limits, verify=False, timeout=3.5)
    transports = [client._transport, *client._mounts.values()]
    assert meter.wrap(client) is client
    wrapped = [client._transport, *client._mounts.values()]
    assert [each._inner for each in wrapped] == transports
    assert client.timeout == library.Timeout(3.5)
    meter.wrap(client)
    assert [client._transport, *client._mounts.values()] == wrapped


@each_family
def test_the_mount_that_a_request_takes_is_metered(library, meter, counted):
    main, mounted = [], []
    client = library.Client(transport=mock(library, main), mounts={"all://api.openai.com": mock(library, mounted)})
    with meter.wrap(client):
        client.post(URL, json=ASK)
    assert (len(main), len(mounted)) == (0, 1)
    assert counted() == {"success": 1}


def test_the_environment_s_proxies_stay(meter, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "localhost")
    with meter.wrap(httpx.Client()) as client:
        through = {str(pattern.pattern): transport for pattern, transport in client._mounts.items()}
        assert through["https://"]._inner._pool.__class__.__name__ == "HTTPProxy"
        assert through["all://localhost"] is None


def test_a_host_behind_a_proxy_path(registry, meter, counted, count):
    with meter.wrap(httpx.Client(transport=mock(httpx)), backend="groq") as client:
        client.post("https://gateway.example/teams/7/llm/v1/chat/completions", json=ASK)
        client.get("https://gateway.example/teams/7/llm/v1/models")
    assert counted() == {"success": 1}
    assert count("llm_requests_total", backend="groq") == 1
    assert count("llmmetrics_unmetered_requests_total", backend="groq") == 1


def test_two_backends_for_one_client(meter):
    with meter.wrap(httpx.Client(), backend="openai") as client:
        with pytest.raises(
            ConfigError, match="already metered as backend='openai': wrap a new client for backend='groq'"
        ):
            meter.wrap(client, backend="groq")
        # without a name the first one holds
        meter.wrap(client)


@each_family
def test_a_meter_of_another_registry(library, meter, counted):
    other = Meter(registry=CollectorRegistry())
    with meter.wrap(library.Client(transport=mock(library))) as client:
        with pytest.raises(ConfigError, match="a meter with another registry already counts the calls"):
            other.wrap(client)
        # a second meter on the same registry, as an app factory makes, counts into the same families
        Meter(registry=meter.registry).wrap(client)
        client.post(URL, json=ASK)
    assert counted() == {"success": 1}


def test_clients_that_an_sdk_derives_from_a_wrapped_one(meter, provider, counted):
    openai = pytest.importorskip("openai")
    with meter.wrap(openai.OpenAI(api_key="x", base_url=f"{provider.url}/openai/v1")) as client:
        client.with_options(timeout=30).chat.completions.create(**ASK)
        client.copy(max_retries=0).chat.completions.create(**ASK)
        client.chat.completions.with_raw_response.create(**ASK)
        with client.chat.completions.with_streaming_response.create(**ASK) as answer:
            answer.read()
        with client.chat.completions.with_streaming_response.create(**ASK):
            # the answer is not read
            pass
    assert counted() == {"success": 4, "cancelled": 1}


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_google_s_async_client_has_an_inner_one_for_every_loop(meter, provider, counted):
    genai = pytest.importorskip("google.genai")
    client = genai.Client(api_key="x", http_options={"base_url": f"{provider.url}/gemini"})
    # without aiohttp, which it prefers
    client._api_client._use_aiohttp = lambda: False

    async def ask(*, last):
        await client.aio.models.generate_content(model="m-1", contents="hi")
        if last:
            for aclose in closers(client, "aclose"):
                await aclose()

    async def ask_first():
        await ask(last=False)
        meter.wrap(client)
        await ask(last=False)
        meter.wrap(client)

    asyncio.run(ask_first())
    assert counted() == {"success": 1}
    for last in (False, True):
        asyncio.run(ask(last=last))
    # what it leaves open in the loops that are gone is its own business
    gc.collect()
    assert len(provider.requests) == 4
    assert counted() == {"success": 3}


def test_an_unknown_backend(meter):
    with httpx.Client() as client, pytest.raises(ConfigError, match="backend='opeani' is not configured"):
        meter.wrap(client, backend="opeani")


@each_family
def test_a_closed_client(library, meter):
    client = library.Client()
    client.close()
    with pytest.raises(ConfigError, match="is closed and cannot be used again: wrap it before its first use"):
        meter.wrap(client)


class Connecting:
    """Properties that must not be asked."""

    @property
    def client(self):
        raise AssertionError("asked")


class Slotted:
    __slots__ = ("empty", "http")

    def __init__(self, http):
        self.http = http


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: httpx, "httpx is a module: create a client and wrap that"),
        (lambda: httpx2.Client, "httpx2.Client is a class: wrap an instance of it"),
        (Connecting, "no HTTP client that llmmetrics knows .it holds nothing.: pass the SDK's client"),
        (lambda: types.SimpleNamespace(file=io.StringIO()), "it holds _io.StringIO"),
        (lambda: None, "NoneType holds no HTTP client that llmmetrics knows"),
        (httpx.HTTPTransport, "HTTPTransport holds no HTTP client that llmmetrics knows"),
    ],
)
def test_what_holds_no_client_is_told_so(meter, make, message):
    with pytest.raises(ConfigError, match=message):
        meter.wrap(make())


def test_clients_are_found_in_slots_mappings_lists_and_circles(meter):
    clients = [httpx.Client(), httpx2.Client(), httpx.Client(), httpx.AsyncClient()]
    circle = types.SimpleNamespace(clients={"a": [clients[2]]}, pair=(clients[3],))
    circle.itself = circle
    sdk = types.SimpleNamespace(slotted=Slotted(clients[0]), deep=types.SimpleNamespace(x=clients[1]), circle=circle)
    meter.wrap(sdk)
    assert all(hasattr(each._transport, "meter") for each in clients)
