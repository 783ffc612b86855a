"""The doctor's check of a port: free, the application's `/metrics`, or another program."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple

from llmmetrics.cli.output.findings import Finding, error, ok, shown, warning

HOST = "127.0.0.1"
SECONDS = 5.0
"""Seconds to wait for a page; Prometheus itself gives up after 10."""

LARGEST = 2**26
"""Maximum size of a metrics page, in bytes."""

MANY = 10_000
"""From this number of series of one application on, Prometheus and its dashboards get slow."""

_SAMPLE = re.compile(rb"^(llm\w*?)(?:\{(.*)\})? (\S+)(?: \S+)?$", re.MULTILINE)


class Sign(NamedTuple):
    """A metric family that means a problem if a sample is above 0."""

    family: str
    what: str
    do: str


SIGNS = (
    Sign(
        "llmmetrics_calls_without_price_total",
        "calls without a known price, so without a cost",
        "set CostPerMillionInputTokens and CostPerMillionOutputTokens on a backend with this ModelName",
    ),
    Sign(
        "llmmetrics_calls_without_usage_total",
        "calls whose tokens are estimated, not read",
        "if the reason is absent, ask for usage: stream_options={'include_usage': True}",
    ),
    Sign(
        "llmmetrics_unread_calls_total",
        "answers that could not be read",
        "if the reason is encoding, pip install 'llmmetrics[br,zstd]'",
    ),
    Sign(
        "llmmetrics_folded_models_total",
        "calls counted under the model `other`, to limit the number of series",
        "avoid dynamic model names, or raise MaxModelsPerBackend",
    ),
    Sign(
        "llmmetrics_internal_errors_total",
        "errors inside llmmetrics",
        "the logger llmmetrics has them: please report them",
    ),
)


class EndpointAnswer(NamedTuple):
    """The answer of `/metrics`."""

    status: int
    location: str
    body: bytes


def port(number: int) -> Iterator[Finding]:
    """Check what listens on this port of this machine."""
    url = f"http://{HOST}:{number}/metrics"
    try:
        answer = _get(number)
    except ConnectionRefusedError:
        yield _nobody(number)
    except (OSError, HTTPException):
        yield error(
            f"port {number} is taken by a program that does not answer {url}",
            f"choose another port, or stop it {AIRPLAY}",
        )
    else:
        yield from page(url, answer)


AIRPLAY = "(on macOS, AirPlay takes port 5000)"


def _get(number: int) -> EndpointAnswer:
    # not urllib: it would use a proxy from the environment
    connection = HTTPConnection(HOST, number, timeout=SECONDS)
    deadline = time.monotonic() + SECONDS
    try:
        connection.request("GET", "/metrics", headers={"Accept": "text/plain"})
        response = connection.getresponse()
        body = bytearray()
        while chunk := response.read1(2**20):
            body += chunk
            if len(body) > LARGEST or time.monotonic() > deadline:
                raise TimeoutError
        return EndpointAnswer(response.status, response.getheader("Location", ""), bytes(body))
    finally:
        connection.close()


def _nobody(number: int) -> Finding:
    try:
        socket.create_server((HOST, number)).close()
    except OSError as exc:
        return error(f"port {number} cannot be used ({exc.strerror})", "choose another port")
    return ok(f"port {number} is free", "if your application should serve there, start it and run the doctor again")


def page(url: str, answer: EndpointAnswer) -> Iterator[Finding]:
    """Check an answer of `/metrics`."""
    if 300 <= answer.status < 400:
        yield warning(
            f"{url} redirects to {shown(answer.location.partition('?')[0])}",
            "add a route for /metrics, not a mount: Prometheus follows redirects, other scrapers may not",
        )
        return
    if answer.status != 200:
        yield error(
            f"{url} answers HTTP {answer.status}",
            f"if this is your application, route /metrics to meter.asgi_app() or meter.wsgi_app(); "
            f"if not, choose another port {AIRPLAY}",
        )
        return
    samples = [(name.decode(), labels, _number(value)) for name, labels, value in _SAMPLE.findall(answer.body)]
    if not any(name.startswith("llm_") for name, _, _ in samples) and b"# TYPE llm_" not in answer.body:
        yield error(
            f"{url} answers, but has no llm_ metrics",
            "if this is your application, set Telemetry.EnableMetrics to true and serve the meter's own registry with "
            "meter.asgi_app() or meter.wsgi_app(); if not, choose another port",
        )
        return
    yield ok(
        f"{url}: your application serves it",
        "if Prometheus has no data, check http://localhost:9090/targets",
    )
    yield from _told(samples)


def _number(text: bytes) -> float:
    """Parse a sample's value; another program's page may hold anything."""
    try:
        return float(text)
    except ValueError:
        return 0


def _told(samples: list[tuple[str, bytes, float]]) -> Iterator[Finding]:
    """Check the numbers on the application's page."""
    if any(name == "llm_estimated_cost_usd_total" for name, _, _ in samples):
        yield warning(
            "the page has llm_estimated_cost_usd_total, so dashboards of llm_estimated_cost_usd stay empty",
            "serve meter.asgi_app() or meter.wsgi_app(): prometheus-client's MultiProcessCollector adds the _total",
        )
    if not any(name == "llm_requests_total" and value > 0 for name, _, value in samples):
        yield warning(
            "no call has been counted yet",
            "make one; if it is not counted, your code should call llmmetrics.instrument(meter) or meter.wrap(client)",
        )
    if len(samples) > MANY:
        yield warning(
            f"the page has {len(samples)} series",
            "avoid dynamic model names, lower MaxModelsPerBackend, and use sum by (backend) in queries",
        )
    for sign in SIGNS:
        for name, labels, value in samples:
            if name == sign.family and value > 0:
                where = shown(labels.decode(errors="replace"))
                yield warning(f"{value:.0f} {sign.what} ({where})", sign.do)
