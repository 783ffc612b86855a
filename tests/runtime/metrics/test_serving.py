"""Serving metrics: over ASGI, over WSGI, and by our own server."""

from __future__ import annotations

import gzip
import urllib.request
from pathlib import Path

import httpx
import httpx2
import pytest
from prometheus_client import make_wsgi_app, start_http_server
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from support.golden_traffic import SETTINGS, Ticks, traffic

from llmmetrics import ConfigError, Meter
from llmmetrics.pricing.catalogue import catalogue_version

pytestmark = pytest.mark.anyio

GOLDEN = Path(__file__).parents[1] / "golden"

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@pytest.fixture
def metered(registry):
    meter = Meter.from_settings(SETTINGS, registry=registry, clock=Ticks())
    traffic(meter)
    return meter


def golden(name: str) -> bytes:
    return (GOLDEN / name).read_bytes().replace(b"CATALOGUE", catalogue_version().encode())


def fetch(url: str, **headers: str) -> tuple[bytes, dict]:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as response:
        return response.read(), {name.lower(): value for name, value in response.headers.items()}


def test_start_http_server_of_prometheus_client(metered, registry):
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        url = f"http://127.0.0.1:{server.server_port}/metrics"
        assert fetch(url)[0] == golden("metrics.txt")
        assert fetch(url, Accept=OPENMETRICS)[0] == golden("metrics.openmetrics.counter.txt")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_our_server(metered):
    server, thread = metered.start_http_server(0)
    try:
        assert server.server_address[0] == "127.0.0.1"
        url = f"http://127.0.0.1:{server.server_port}/metrics"
        body, headers = fetch(url)
        assert body == golden("metrics.txt")
        assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        body, headers = fetch(url, Accept=OPENMETRICS)
        assert body == golden("metrics.openmetrics.txt")
        assert headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        body, headers = fetch(url, **{"Accept-Encoding": "gzip"})
        assert headers["content-encoding"] == "gzip"
        assert gzip.decompress(body) == golden("metrics.txt")
        assert "content-encoding" not in fetch(url, **{"Accept-Encoding": "gzip;q=0, br"})[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# the doors


async def get(app, path="/metrics", **headers):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        return await client.get(path, headers=headers)


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_asgi(metered, anyio_backend):
    answer = await get(metered.asgi_app())
    assert answer.content == golden("metrics.txt")
    answer = await get(metered.asgi_app(), **{"Accept": OPENMETRICS, "Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.content == golden("metrics.openmetrics.txt")


async def test_a_starlette_route_takes_it_without_a_redirect(metered):
    app = Starlette(routes=[Route("/metrics", metered.asgi_app()), Mount("/other", metered.asgi_app())])
    for path in ("/metrics", "/other/"):
        answer = await get(app, path)
        assert answer.status_code == 200
        assert answer.content == golden("metrics.txt")


async def test_rendering_leaves_the_event_loop_alone(metered, monkeypatch):
    import threading

    from llmmetrics.metrics import exposition

    threads = []
    page = exposition.page
    monkeypatch.setattr(exposition, "page", lambda *args: threads.append(threading.current_thread()) or page(*args))
    await get(metered.asgi_app())
    assert threads
    assert threads[0] is not threading.main_thread()


def test_wsgi_and_methods(metered):
    client = httpx.Client(transport=httpx.WSGITransport(metered.wsgi_app()), base_url="http://x")
    assert client.get("/metrics").content == golden("metrics.txt")
    head = client.head("/metrics", headers={"Accept-Encoding": "identity"})
    assert head.content == b""
    assert int(head.headers["content-length"]) == len(golden("metrics.txt"))
    refused = client.post("/metrics")
    assert refused.status_code == 405
    assert refused.headers["allow"] == "GET, HEAD"


def test_a_busy_port_is_named(metered):
    server, _ = metered.start_http_server(0)
    with pytest.raises(ConfigError, match=f"127.0.0.1:{server.server_port}.*choose another port"):
        metered.start_http_server(server.server_port)
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("port", [-1, 70000])
def test_a_port_that_cannot_be(metered, port):
    with pytest.raises(ConfigError, match="use a port from 1 to 65535, or 0 for any free port"):
        metered.start_http_server(port)


def test_a_port_is_a_number(metered):
    with pytest.raises(ConfigError, match="the port should be a number, such as 5000"):
        metered.start_http_server(port="5011")


@pytest.mark.parametrize("addr", ["nowhere.invalid", "192.0.2.1"])
def test_an_address_that_is_not_this_machines(meter, addr):
    with pytest.raises(ConfigError, match=r"use an address of this machine, such as 127\.0\.0\.1"):
        meter.start_http_server(port=0, addr=addr)


def test_somebody_elses_wsgi_app(metered, registry):
    client = httpx2.Client(transport=httpx2.WSGITransport(make_wsgi_app(registry)), base_url="http://x")
    assert client.get("/").content == golden("metrics.txt")
