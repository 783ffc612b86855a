"""`/metrics` to the byte: exact names through every exposition, alone and with another library's collectors."""

from __future__ import annotations

import gzip
import logging
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import httpx
import httpx2
import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest, make_wsgi_app, start_http_server
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from llmmetrics import ConfigError, Meter
from llmmetrics.pricing.catalogue import catalogue_version
from llmmetrics.settings.model import Settings

pytestmark = pytest.mark.anyio
GOLDEN = Path(__file__).parents[1] / "golden"
SETTINGS = {
    "Backends": [
        {
            "Name": "openai-primary",
            "Type": "OpenAI",
            "ModelName": "gpt-4",
            "CostPerMillionInputTokens": 30,
            "CostPerMillionOutputTokens": 60,
        },
        {"Name": "local", "Type": "Ollama", "ModelName": "llama2"},
    ]
}
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Ticks:
    """A clock of which every reading is a quarter of a second later."""

    def __init__(self):
        self.seconds = 0.0

    def monotonic(self):
        self.seconds += 0.25
        return self.seconds

    def now(self):
        raise AssertionError("these calls do not need the time")


def traffic(meter):
    body = {"model": "gpt-4-0613", "usage": {"prompt_tokens": 1000, "completion_tokens": 500}}
    answers = {"POST /v1/chat/completions": (200, body), "GET /v1/models": (200, {})}

    def answer(request):
        status, content = answers.get(
            f"{request.method} {request.url.path}", (429, {"error": {"code": "rate_limit_exceeded"}})
        )
        return httpx.Response(status, json=content)

    client = httpx.Client(transport=meter.transport(httpx.MockTransport(answer)))
    client.post("https://api.openai.com/v1/chat/completions", json={"model": "gpt-4"})
    client.post("https://api.openai.com/v1/embeddings", json={"model": "gpt-4"})
    client.get("https://api.openai.com/v1/models")


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


# the bytes


def test_classic_format(metered, registry):
    assert generate_latest(registry) == golden("metrics.txt")


def test_openmetrics_through_somebody_elses_exposition(metered, registry):
    assert generate_openmetrics(registry) == golden("metrics.openmetrics.counter.txt")


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


def test_openmetrics_calls_the_cost_unknown_only_on_our_own_page():
    ours, theirs = golden("metrics.openmetrics.txt"), golden("metrics.openmetrics.counter.txt")
    assert ours.replace(b"llm_estimated_cost_usd unknown", b"llm_estimated_cost_usd counter") == theirs


@pytest.mark.parametrize("name", ["metrics.txt", "metrics.openmetrics.txt", "metrics.openmetrics.counter.txt"])
def test_the_golden_files_hold_the_contract(name):
    text = golden(name).decode()
    assert 'llm_estimated_cost_usd{backend="openai-primary",model="gpt-4"} 0.06\n' in text
    assert "llm_estimated_cost_usd_total" not in text
    assert "_created" not in text
    families = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
    suffix = "_total" if name == "metrics.txt" else ""
    assert {f"llm_requests{suffix}", f"llm_tokens{suffix}", f"llm_errors{suffix}", "llm_backend_health"} <= families
    assert {"llm_active_requests", "llm_estimated_cost_usd", "llm_request_duration_seconds"} <= families
    buckets = re.findall(r'le="([^"]+)",model="gpt-4"', text.split("llm_time_to_first_chunk")[0])
    assert buckets == ["0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "20.0", "30.0", "60.0", "+Inf"]
    # a cost child exists only where a price is known
    assert 'llm_estimated_cost_usd{backend="local"' not in text
    assert 'llm_requests_total{backend="local",model="llama2",status="success"} 0.0' in text


def test_beside_another_library_in_the_default_registry():
    """In a process of its own: the default registry is every test's."""
    code = """
import sys
from prometheus_client import Counter, REGISTRY, generate_latest
Counter('theirs', 'of another library').inc()
from llmmetrics import Meter
Meter.from_settings({'Backends': [{'Name': 'b', 'Type': 'OpenAI', 'ModelName': 'gpt-4', 'CostPerMillionInputTokens': 1, 'CostPerMillionOutputTokens': 1}]})
Counter('later', 'of a third library')
sys.stdout.write(generate_latest(REGISTRY).decode())
"""
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "theirs_total 1.0" in text
    assert "theirs_created" in text, "other libraries keep theirs"
    assert "later_total 0.0" in text
    assert "python_info" in text
    assert '# TYPE llm_estimated_cost_usd counter\nllm_estimated_cost_usd{backend="b",model="gpt-4"} 0.0\n' in text
    assert not re.search(r"^llm\w*_created", text, re.MULTILINE)


def test_a_name_of_ours_is_not_given_away_twice(metered, registry):
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        Counter("llm_requests", "a clash", registry=registry)


@pytest.mark.parametrize("name", ["llm_estimated_cost_usd", "llm_requests_total", "llm_active_requests"])
def test_one_name_can_be_asked_for(metered, name):
    body = (
        httpx.Client(transport=httpx.WSGITransport(metered.wsgi_app()))
        .get("http://x/metrics", params={"name[]": name})
        .text
    )
    samples = [line for line in body.splitlines() if not line.startswith("#")]
    assert samples
    assert all(line.startswith(name + "{") for line in samples)


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
    with pytest.raises(ConfigError, match="choose another port"):
        metered.start_http_server(port)


def test_a_port_is_a_number(metered):
    with pytest.raises(ConfigError, match="the port should be a number, such as 5000"):
        metered.start_http_server(port="5011")


@pytest.mark.parametrize("addr", ["nowhere.invalid", "192.0.2.1"])
def test_an_address_that_is_not_this_machines(meter, addr):
    with pytest.raises(ConfigError, match=r"use an address of this machine, such as 127\.0\.0\.1"):
        meter.start_http_server(port=0, addr=addr)


# registration


def test_a_second_meter_shares_the_families(registry):
    first = Meter.from_settings(SETTINGS, registry=registry, clock=Ticks())
    second = Meter.from_settings(SETTINGS, registry=registry, clock=Ticks())
    traffic(first)
    traffic(second)
    text = generate_latest(registry).decode()
    assert 'llm_estimated_cost_usd{backend="openai-primary",model="gpt-4"} 0.12\n' in text
    assert text.count("# TYPE llm_requests_total") == 1


def test_other_buckets_on_a_shared_registry_are_said_to_be_ignored(registry, caplog):
    Meter(registry=registry)
    Meter(Settings(telemetry={"duration_buckets": (1, 100)}), registry=registry)
    assert "DurationBuckets are ignored" in caplog.text


def test_duration_buckets(registry):
    Meter.from_settings({**SETTINGS, "Telemetry": {"DurationBuckets": [1, 120, 600]}}, registry=registry)
    assert re.findall(r'le="([^"]+)",model="llama2"', generate_latest(registry).decode()) == [
        "1.0",
        "120.0",
        "600.0",
        "+Inf",
    ]


def test_metrics_can_be_switched_off(registry):
    meter = Meter.from_settings({**SETTINGS, "Telemetry": {"EnableMetrics": False}}, registry=registry, clock=Ticks())
    traffic(meter)
    assert generate_latest(registry) == b""


def test_an_exposition_that_would_break_the_name_is_noticed(registry, caplog, monkeypatch):
    from llmmetrics.metrics import names

    monkeypatch.setattr(names, "generate_latest", lambda _: b"# TYPE llm_estimated_cost_usd_total counter\n")
    with caplog.at_level(logging.ERROR):
        Meter(registry=registry)
    assert "prints llm_estimated_cost_usd_total" in caplog.text


def test_somebody_elses_wsgi_app(metered, registry):
    client = httpx2.Client(transport=httpx2.WSGITransport(make_wsgi_app(registry)), base_url="http://x")
    assert client.get("/").content == golden("metrics.txt")


def test_a_registry_without_calls_has_the_families(registry: CollectorRegistry):
    Meter(registry=registry)
    assert b"# TYPE llm_requests_total counter" in generate_latest(registry)
