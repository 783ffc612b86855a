"""`llmmetrics doctor` on a port and its `/metrics`: every finding is provoked for real."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import httpx
import prometheus_client
import pytest
from prometheus_client import CollectorRegistry
from support.findings import about, only
from support.servers import free_port

from llmmetrics import Meter
from llmmetrics.cli.doctor import endpoint
from llmmetrics.cli.output.findings import Level
from llmmetrics.testing import Answer

OK, WARNING, ERROR = Level.OK, Level.WARNING, Level.ERROR
KEY = "sk-a-key"


@contextmanager
def serving(respond):
    """Another program's web server, and its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            respond(self)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answering(status, *headers, body=b""):
    def respond(handler):
        handler.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return serving(respond)


@contextmanager
def exported(registry):
    """A registry, served by prometheus-client itself."""
    server, thread = prometheus_client.start_http_server(0, "127.0.0.1", registry)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_free_port():
    finding = only(endpoint.port(free_port()))
    assert finding.level is OK
    assert finding.what.endswith("is free")


def test_a_port_that_is_bound_and_does_not_listen():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        finding = only(endpoint.port(taken.getsockname()[1]))
    assert finding.level is ERROR
    assert "cannot be used" in finding.what


def test_something_that_never_answers(monkeypatch):
    monkeypatch.setattr(endpoint, "SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        finding = only(endpoint.port(taken.getsockname()[1]))
    assert finding.level is ERROR
    assert "choose another port" in finding.do
    assert "AirPlay" in finding.do


@pytest.mark.parametrize(("bound", "least"), [("SECONDS", 0.2), ("LARGEST", 1000)])
def test_something_that_never_ends(monkeypatch, bound, least):
    monkeypatch.setattr(endpoint, bound, least)
    stop = Event()

    def respond(handler):
        handler.send_response(200)
        handler.end_headers()
        while not stop.wait(0.01):
            try:
                handler.wfile.write(b"data: x\n")
            except OSError:
                return

    with serving(respond) as port:
        finding = only(endpoint.port(port))
        stop.set()
    assert finding.level is ERROR
    assert "does not answer" in finding.what


def test_something_that_is_no_web_server():
    with socket.create_server(("127.0.0.1", 0)) as taken:

        def greet():
            connection, _ = taken.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 mail.example ESMTP\r\n")

        thread = Thread(target=greet)
        thread.start()
        finding = only(endpoint.port(taken.getsockname()[1]))
        thread.join()
    assert finding.level is ERROR


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_web_server_without_metrics(status):
    with answering(status) as port:
        finding = only(endpoint.port(port))
    assert finding.level is ERROR
    assert f"answers HTTP {status}" in finding.what
    assert "route /metrics to meter.asgi_app()" in finding.do


def test_a_redirect_is_a_mount():
    with answering(307, ("Location", f"/metrics/?key={KEY}")) as port:
        finding = only(endpoint.port(port))
    assert finding.level is WARNING
    assert finding.what.endswith("redirects to /metrics/")
    assert "a route for /metrics, not a mount" in finding.do


def test_the_metrics_of_another_program():
    registry = CollectorRegistry()
    prometheus_client.Gauge("temperature", "Of the room", registry=registry).set(21)
    with exported(registry) as port:
        finding = only(endpoint.port(port))
    assert finding.level is ERROR
    assert "has no llm_ metrics" in finding.what
    assert "EnableMetrics" in finding.do


def test_an_application_whose_metrics_are_off():
    registry = CollectorRegistry()
    Meter.from_settings({"Telemetry": {"EnableMetrics": False}}, registry=registry)
    with exported(registry) as port:
        assert "has no llm_ metrics" in only(endpoint.port(port)).what


@pytest.fixture
def application(provider, registry):
    """An application with a meter and its page: calls it makes, and what the doctor says of it."""

    class Application:
        def __init__(self, **sections):
            own = {"CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 2}
            backend = {"Name": "a", "BaseUrl": f"{provider.url}/openai", "ModelName": "m-1", **own}
            self.meter = Meter.from_settings({"Backends": [backend], **sections}, registry=registry)

        def call(self, model="m-1"):
            with httpx.Client(transport=self.meter.transport(family="httpx")) as client:
                client.post(f"{provider.url}/openai/v1/chat/completions", json={"model": model, "messages": []})

        def findings(self):
            server, thread = self.meter.start_http_server(0)
            try:
                return list(endpoint.port(server.server_port))
            finally:
                server.shutdown()
                server.server_close()
                thread.join()

    return Application


def test_an_application_of_ours(application):
    running = application()
    first, second = running.findings()
    assert first.level is OK
    assert first.what.endswith("your application serves it")
    assert "http://localhost:9090/targets" in first.do
    assert (second.level, second.what) == (WARNING, "no call has been counted yet")
    running.call()
    assert [each.level for each in running.findings()] == [OK]


def test_calls_without_a_price(application):
    running = application()
    running.call("unknown-model")
    finding = about(running.findings(), "without a known price")
    assert finding.level is WARNING
    assert finding.what == '1 calls without a known price, so without a cost (backend="a",model="unknown-model")'
    assert "CostPerMillionInputTokens" in finding.do


def test_calls_without_usage(application, provider):
    provider.default = Answer(usage=False)
    running = application()
    running.call()
    finding = about(running.findings(), "estimated, not read")
    assert 'reason="absent"' in finding.what
    assert "include_usage" in finding.do


def test_too_many_models(application):
    running = application(Telemetry={"MaxModelsPerBackend": 1})
    running.call("one-more")
    finding = about(running.findings(), "`other`")
    assert finding.level is WARNING
    assert "avoid dynamic model names" in finding.do


def test_too_many_series(application, monkeypatch):
    monkeypatch.setattr(endpoint, "MANY", 10)
    running = application()
    running.call()
    assert "sum by (backend)" in about(running.findings(), " series").do


def test_errors_of_our_own(application):
    running = application()
    running.call()
    running.meter.engine.swallow("somewhere", ValueError())
    assert about(running.findings(), "errors inside llmmetrics").level is WARNING


def test_an_exposition_that_changes_the_name():
    registry = CollectorRegistry()
    prometheus_client.Counter("llm_requests", "Total", ["backend"], registry=registry).labels("a").inc()
    prometheus_client.Counter("llm_estimated_cost_usd", "Cost", ["backend"], registry=registry).labels("a").inc()
    with exported(registry) as port:
        findings = list(endpoint.port(port))
    assert about(findings, "llm_estimated_cost_usd_total").level is WARNING


def test_a_page_of_anything_harms_nothing():
    body = b'llm_requests_total{a="\x1b[31m\xff"} what\nllmmetrics_internal_errors_total{where="\x1b[31m"} 2\n\x00\xff'
    with answering(200, body=body) as port:
        text = "\n".join(map(str, endpoint.port(port)))
    assert "no call has been counted" in text
    assert '2 errors inside llmmetrics (where="?[31m")' in text
