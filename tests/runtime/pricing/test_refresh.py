"""The catalogue in use: exported once, refreshed if the settings say so, never in a test."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from llmmetrics import Meter
from llmmetrics.pricing.refresh import under_test

INFO = "llmmetrics_price_catalog_info"


def test_the_version_is_shown_once_whoever_looks():
    registry = CollectorRegistry()
    # two meters share the families of a registry
    meters = [Meter(registry=registry) for _ in range(2)]
    lines = [each for each in generate_latest(registry).decode().splitlines() if INFO in each]
    assert len(meters) == 2
    assert lines == [
        f"# HELP {INFO} The price catalogue in use: genai-prices of this version",
        f"# TYPE {INFO} gauge",
        f'{INFO}{{version="{version("genai-prices")}"}} 1.0',
    ]


def test_nothing_is_fetched_under_a_test():
    before = {each.ident for each in threading.enumerate()}
    meter = Meter.from_settings({"RefreshPrices": True}, registry=CollectorRegistry())
    assert meter.engine._refresh is None
    assert not [each for each in threading.enumerate() if each.ident not in before and "prices" in each.name]
    assert under_test()
    assert not under_test({"PATH": "/"})
    assert under_test({"PYTEST_VERSION": "9.2.0"})


PROGRAM = """
import functools, logging, os, sys, threading, time
import httpx
from genai_prices import update_prices
from prometheus_client import CollectorRegistry
from llmmetrics import Meter
from llmmetrics.pricing import refresh
from llmmetrics.testing import observe

refresh.EVERY = 0.05
update_prices.UpdatePrices = functools.partial(update_prices.UpdatePrices, url=sys.argv[1])
logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="%(message)s")
registry = CollectorRegistry()
meter = Meter.from_settings({"RefreshPrices": True}, registry=registry)
usage = {"prompt_tokens": 1_000_000, "completion_tokens": 0}
answer = httpx.MockTransport(lambda _: httpx.Response(200, json={"model": "gpt-4o-mini", "usage": usage}))
client = httpx.Client(transport=meter.transport(answer))

def cost():
    found = []
    with observe(found.append):
        client.post("https://api.openai.com/v1/chat/completions", json={"model": "gpt-4o-mini"})
    return found[0].cost_usd

def value(name, label):
    return [(s.labels[label], s.value) for f in registry.collect() for s in f.samples if s.name == name]

def until(what):
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)

def failed(at_least):
    (found,) = value("llmmetrics_internal_errors_total", "where") or [("", 0)]
    return found[1] >= at_least and found[0] == "refresh_prices"

# the first fetch is refused, and so are the next
until(lambda: failed(3))
print("old", cost())
print(value("llmmetrics_price_catalog_info", "version"))
httpx.post(sys.argv[1])
until(lambda: "+" in value("llmmetrics_price_catalog_info", "version")[0][0])
print("new", cost())
print(len(value("llmmetrics_price_catalog_info", "version")))
sys.stdout.flush()
if not (pid := os.fork()):
    client.post("https://api.openai.com/v1/chat/completions", json={"model": "gpt-4o-mini"})
    until(lambda: any(each.name == "llmmetrics-prices" for each in threading.enumerate()))
    print("the child has a thread of its own", flush=True)
    os._exit(0)
os.waitpid(pid, 0)
meter.close()
until(lambda: not any(each.name == "llmmetrics-prices" for each in threading.enumerate()))
print("closed")
"""

PRICES = b"""[{"id": "openai", "name": "OpenAI", "api_pattern": "https://api\\\\.openai\\\\.com", "models": [
{"id": "gpt-4o-mini", "match": {"equals": "gpt-4o-mini"}, "prices": {"input_mtok": 42, "output_mtok": 43}}]}]"""


class Prices(BaseHTTPRequestHandler):
    """Gives the prices after it has been told to."""

    ready = False

    def do_GET(self):
        self.send_response(200 if type(self).ready else 503)
        self.end_headers()
        if type(self).ready:
            self.wfile.write(PRICES)

    def do_POST(self):
        type(self).ready = True
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_prices_are_fetched_anew():
    with ThreadingHTTPServer(("127.0.0.1", 0), Prices) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, f"http://127.0.0.1:{server.server_port}/prices.json"],
            capture_output=True,
            text=True,
            env=environ,
            check=False,
            timeout=120,
        )
        server.shutdown()
    assert done.returncode == 0, done.stderr
    said, *rest = done.stdout.splitlines()
    bundled = version("genai-prices")
    assert said == (
        f"the price catalogue could not be refreshed (HTTPStatusError): prices stay those of {bundled}. The next try "
        "is in an hour. Set LlmSettings.RefreshPrices to false if this process cannot reach the internet"
    )
    assert rest == [
        "old 0.15",
        f"[('{bundled}', 1)]",
        "new 42",
        "1",
        "the child has a thread of its own",
        "closed",
    ]
