"""Connections past every door are counted by host, also where metered traffic goes to the same host."""

from __future__ import annotations

import _socket
import asyncio
import importlib
import logging
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from threading import Thread
from urllib.parse import urlsplit

import httpx
import pytest
import respx
from prometheus_client import CollectorRegistry
from support import SOAK

import llmmetrics
from llmmetrics import Meter

URL = "https://api.openai.com/v1/chat/completions"
ASK = {"model": "m-1", "messages": []}
BODY = {"model": "m-1", "usage": {"prompt_tokens": 11, "completion_tokens": 7}}
NAME = "llmmetrics_unmetered_connections_total"
EACH = 1000 if SOAK else 15
"""Connections of each kind."""


@pytest.fixture(autouse=True)
def instrumented(meter):
    llmmetrics.instrument(meter)
    yield
    llmmetrics.uninstrument()


def warned(caplog):
    return [record.getMessage() for record in caplog.records if "goes past the meter" in record.getMessage()]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Names that look_up() looks up are found nowhere; others are."""
    real = _socket.getaddrinfo
    monkeypatch.setattr(
        _socket, "getaddrinfo", lambda host, port, *more: [] if port == 443 else real(host, port, *more)
    )


def look_up(*hosts):
    for host in hosts:
        socket.getaddrinfo(host, 443)


def test_a_lookup_past_the_doors_is_counted_and_warned_of_once_a_host(count, caplog):
    with caplog.at_level(logging.WARNING, "llmmetrics"):
        look_up("api.anthropic.com", "API.anthropic.com", "example.com", b"api.openai.com", None)
    assert [line.partition(" goes past")[0] for line in warned(caplog)] == [
        "a connection to api.anthropic.com (anthropic)",
        "a connection to api.openai.com (openai)",
    ]
    assert count(NAME, host="api.anthropic.com") == 2
    assert count(NAME, host="api.openai.com") == 1
    assert count(NAME) == 3


def test_the_library_is_named_by_its_frame(caplog):
    space = {"__name__": "raw_llm.wire", "socket": socket}
    exec("def connect(): socket.getaddrinfo('api.openai.com', 443)", space)
    with caplog.at_level(logging.WARNING, "llmmetrics"):
        space["connect"]()
    assert "goes past the meter, made by raw_llm:" in warned(caplog)[0]


def test_metered_traffic_to_the_host_hides_nothing(count):
    with respx.mock() as router, httpx.Client() as client:
        router.post(URL).respond(json=BODY)
        client.post(URL, json=ASK)
        look_up("api.openai.com")
        client.post(URL, json=ASK)
    assert count(NAME, host="api.openai.com") == 1
    assert count("llm_requests_total") == 2


def test_what_a_door_of_any_meter_connects_to_is_not_counted(count):
    other = Meter(registry=CollectorRegistry())

    def answer(_):
        look_up("api.openai.com")
        return httpx.Response(200, json=BODY)

    with httpx.Client(transport=other.transport(httpx.MockTransport(answer))) as client:
        client.post(URL, json=ASK)
    assert count(NAME) == 0


def test_a_host_of_the_settings_is_an_llm_host(caplog):
    llmmetrics.uninstrument()
    names = {"gateway": "https://llm.corp.example/v1", "own": "http://localhost:8000/v1"}
    backends = [{"Name": name, "Type": "GenericOpenAI", "BaseUrl": url} for name, url in names.items()]
    meter = Meter.from_settings({"Backends": backends}, registry=CollectorRegistry())
    llmmetrics.instrument(meter)
    with caplog.at_level(logging.WARNING, "llmmetrics"):
        # this machine's name is shared by many programs: its connects are seen, with their port
        look_up("llm.corp.example", "localhost", "LLM.corp.example")
        for port in (8000, 9000):
            with socket.socket() as connection:
                connection.settimeout(0)
                connection.connect_ex(("127.0.0.1", port))
    assert [line.partition(" goes past")[0] for line in warned(caplog)] == [
        "a connection to llm.corp.example (gateway)",
        "a connection to localhost:8000 (own)",
    ]


def metered(library, url):
    with importlib.import_module(library).Client() as client:
        client.post(url, json=ASK)


async def ametered(library, url):
    async with importlib.import_module(library).AsyncClient() as client:
        await client.post(url, json=ASK)


async def ametered_by_aiohttp(url):
    async with importlib.import_module("aiohttp").ClientSession() as session, session.post(url, json=ASK) as answer:
        await answer.read()


async def astray(host, port):
    _, writer = await asyncio.open_connection(host, port)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("runner", ["threads", "asyncio", "uvloop"])
def test_each_connection_past_the_doors_and_no_other(provider, count, runner, name):
    """The provider has one host: metered and unmetered connections to it at the same time."""
    for module in ("aiohttp", "requests", *(["uvloop"] if runner == "uvloop" else [])):
        pytest.importorskip(module)
    url = f"{provider.url.replace('127.0.0.1', name)}/openai/v1/chat/completions"
    port = urlsplit(url).port

    async def tasks():
        for _ in range(EACH):
            await asyncio.gather(
                *(ametered(library, url) for library in ("httpx", "httpx2")),
                ametered_by_aiohttp(url),
                astray(name, port),
            )

    if runner == "threads":
        requests = importlib.import_module("requests")
        work = [
            *(lambda library=library: metered(library, url) for library in ("httpx", "httpx2")),
            lambda: requests.post(url, json=ASK, timeout=30),
            lambda: socket.create_connection((name, port)).close(),
        ]
        threads = [Thread(target=lambda one=one: [one() for _ in range(EACH)]) for one in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    else:
        run = asyncio.run if runner == "asyncio" else importlib.import_module("uvloop").run
        run(tasks())
    assert count("llm_requests_total", status="success") == 3 * EACH
    assert count(NAME) == count(NAME, host=f"localhost:{port}") == EACH
    assert count("llmmetrics_internal_errors_total") == 0


@pytest.mark.parametrize("debug", [False, True])
def test_a_metered_client_is_claimed_in_debug_mode_too(count, debug):
    async def main():
        async with httpx.AsyncClient() as client:
            # no address is known
            with suppress(httpx.ConnectError, ValueError):
                await client.post(URL, json=ASK)

    asyncio.run(main(), debug=debug)
    assert count("llm_requests_total") == 1
    assert count(NAME) == 0


def test_functions_take_their_arguments_by_name_and_complain_themselves():
    uvloop = pytest.importorskip("uvloop")

    async def main():
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        loop = asyncio.get_running_loop()
        async with server:
            port = server.sockets[0].getsockname()[1]
            transport, _ = await loop.create_connection(protocol_factory=asyncio.Protocol, host="127.0.0.1", port=port)
            transport.close()
            assert await loop.getaddrinfo(host="127.0.0.1", port=port)

    uvloop.run(main())
    assert socket.getaddrinfo(port=80, host="127.0.0.1")
    with socket.socket() as one, pytest.raises(TypeError, match=r"connect\(\)"):
        one.connect()


def test_the_loops_are_as_they_were():
    base = importlib.import_module("asyncio.base_events").BaseEventLoop
    assert hasattr(base.getaddrinfo, "__wrapped__")
    llmmetrics.uninstrument()
    assert not hasattr(base.getaddrinfo, "__wrapped__")
    assert socket.getaddrinfo.__module__ == "socket"
    assert "connect" not in vars(socket.socket)


def by_executor():
    with ThreadPoolExecutor(1) as pool:
        pool.submit(socket.getaddrinfo, "api.openai.com", 443).result()


def by_to_thread():
    asyncio.run(asyncio.to_thread(socket.getaddrinfo, "api.openai.com", 443))


def by_loop(*, debug=False):
    async def main():
        await asyncio.get_running_loop().getaddrinfo("api.openai.com", 443)

    asyncio.run(main(), debug=debug)


@pytest.mark.parametrize("look", [by_executor, by_to_thread, by_loop, partial(by_loop, debug=True)])
def test_a_lookup_in_another_thread_is_seen_once(count, look):
    for _ in range(3):
        look()
    assert count(NAME) == 3


def test_a_patch_that_brings_a_wrapper_back_leaves_one(count, meter):
    """A test patches the function while it is watched, and undoes that when nothing watches any more."""
    for n in range(1, 4):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", lambda *_: [])
            llmmetrics.uninstrument()
        # the wrapper is back, and tells nothing
        look_up("api.openai.com")
        assert count(NAME) == n - 1
        llmmetrics.instrument(meter)
        look_up("api.openai.com")
        assert count(NAME) == n


TRACED = """
import sys, threading
import llmmetrics
from pytest_llmmetrics.network import denied

sys.setswitchinterval(1e-6)
llmmetrics.instrument(llmmetrics.Meter())
failed = []
threading.excepthook = sys.unraisablehook = failed.append
threading.settrace(lambda *_: None)

def work():
    for _ in range(1000):
        sys.settrace(lambda *_: None)

with denied():
    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
print(len(failed))
"""


def test_threads_start_under_a_tracer():
    """Coverage and debuggers trace threads; with an audit hook, Python 3.11 lets some of them fail at their start."""
    done = subprocess.run([sys.executable, "-c", TRACED], capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout.strip(), done.stderr) == ("0", "")
