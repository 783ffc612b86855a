"""A real Prometheus scrapes the demo: the guide's queries, the exact name in both formats, the first call's cost."""

from __future__ import annotations

import json
import re
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from prometheus_client import CollectorRegistry
from support import servers, shared
from support.servers import free_port, get, running, until

from llmmetrics import Meter

PRICES = {"CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 2}
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
"""
JOB = "  - {{job_name: {name}, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}\n"


def start(tmp_path, **ports):
    """A Prometheus that scrapes these jobs every second."""
    return servers.prometheus(
        tmp_path, CONFIG.format() + "".join(JOB.format(name=name, port=port) for name, port in ports.items())
    )


@pytest.fixture(scope="module")
def clock():
    """The port on which the demo's clock is moved."""
    return free_port()


@pytest.fixture(scope="module")
def demo(tmp_path_factory, clock):
    """The port of a demo that runs."""
    port = free_port()
    command = [sys.executable, "-m", "llmmetrics", "demo", "--port", str(port), "--clock-port", str(clock)]
    with running(command, tmp_path_factory.mktemp("demo") / "log"):
        until(lambda: "llm_requests_total" in get(f"http://127.0.0.1:{port}/metrics"), "the demo")
        yield port


@pytest.fixture(scope="module")
def classic(demo):
    """The port of a relay that asks the demo for the classic text format, whatever Prometheus asks it for."""

    class Relay(BaseHTTPRequestHandler):
        def do_GET(self):
            body = get(f"http://127.0.0.1:{demo}/metrics").encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Relay)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory, demo, classic, clock):
    """A Prometheus that has seen every kind of traffic of the demo, in both formats."""
    with start(tmp_path_factory.mktemp("prometheus"), demo=demo, classic=classic) as client:
        moved = "sum by (job, error_type) (increase(llm_errors_total[5m])) > 0"
        until(lambda: len(client.query(moved)) >= 6, "three kinds of errors in both jobs", 120)
        # the budget that has run dry comes back in the next hour: before that, each query has to have seen it dry
        for query in CORRECTED:
            until(lambda query=query: in_both_jobs(client, query), f"in both jobs: {query}", 120)
        advance = urllib.request.Request(f"http://127.0.0.1:{clock}/advance?seconds=3600", method="POST")
        urllib.request.urlopen(advance, timeout=30).close()
        costs = 'count by (job) (increase(llm_estimated_cost_usd{backend!="local-ollama"}[5m]) > 0) == 4'
        until(lambda: len(client.query(costs)) == 2, "the cost of four backends in both jobs", 120)
        calls = "count by (job) (rate(llm_request_duration_seconds_count[5m]) > 0) == 5"
        until(lambda: len(client.query(calls)) == 2, "calls of every backend in both jobs", 120)
        refused = "count by (job) (rate(llmmetrics_budget_refusals_total[5m]) > 0)"
        until(lambda: len(client.query(refused)) == 2, "refusals in both jobs", 120)
        yield client


BACKENDS = {"openai-primary", "anthropic-claude", "gemini", "local-ollama", "openai-capped"}
BY_MODEL = {"backend", "model"}

# the guide's query, the labels that tell its series apart, how many of each job there are, what each may be
QUERIES = {
    'rate(llm_requests_total{status="success"}[5m])': (BY_MODEL | {"status"}, 5, 0, 100),
    """sum(rate(llm_requests_total{status="success"}[5m]))
/
sum(rate(llm_requests_total[5m])) * 100""": (set(), 1, 1, 99),
    """rate(llm_request_duration_seconds_sum[5m])
/
rate(llm_request_duration_seconds_count[5m])""": (BY_MODEL, 5, 0.0001, 10),
    "rate(llm_tokens_total[5m])": (BY_MODEL | {"token_type"}, 15, 0, 10_000),
    "increase(llm_estimated_cost_usd[1h])": (BY_MODEL, 5, 0, 10),
    "increase(llm_estimated_cost_usd[1h]) * 24": (BY_MODEL, 5, 0, 240),
    "sum by (backend) (llm_estimated_cost_usd)": ({"backend"}, 5, 0, 10),
    "rate(llm_errors_total[5m])": ({"backend", "error_type"}, 30, 0, 100),
    "sum(llm_active_requests)": (set(), 1, 0, 10),
    "sum(increase(llm_estimated_cost_usd[24h]))": (set(), 1, 1e-6, 10),
    "rate(llm_requests_total[5m])": (BY_MODEL | {"status"}, 20, 0, 100),
}

SPENT, LIMIT = (f'max by (job, backend) (llm_backend_budget_usd{{limit_type="{each}"}})' for each in ("current", "max"))

# the guide's queries of budgets as the errata have them; how many of each job there are, what each may be
CORRECTED = {
    f"({SPENT} / {LIMIT}) * 100": (1, 0, 140),
    f"{LIMIT} - {SPENT}": (1, -0.0034, 0.01),
    f"max_over_time(({SPENT} / {LIMIT} > 0.8)[10m:1s])": (1, 0.8, 1.4),
    f"max_over_time(({SPENT} >= {LIMIT})[10m:1s])": (1, 0.01, 0.0134),
    "sum by (job) (min by (job, backend) (llm_backend_health))": (1, 4, 5),
}

ERRATA = (
    *("histogram_quantile", "max_over_time(sum(", "llm_backend_budget_usd", "sum(llm_backend_health)"),
    "sum by (token_type) (rate(llm_tokens_total[5m]))",
)


def in_both_jobs(client, query):
    """What the query gives, as soon as both jobs have it."""
    found = client.query(query)
    return found if {has["job"] for has, _ in found} == {"demo", "classic"} else []


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_of_the_guide(prometheus, query):
    labels, count, least, most = QUERIES[query]
    found = prometheus.query(query)
    per_job = 1 if query.startswith("sum") else 2
    assert len(found) == count * per_job, found
    for has, value in found:
        assert has.keys() - {"__name__", "job", "instance"} == labels
        assert least <= value <= most, (has, value)
    if "backend" in labels:
        assert {has["backend"] for has, _ in found} == BACKENDS
    if least == 0 and "active" not in query:
        assert any(value > 0 for _, value in found)


@pytest.mark.parametrize("query", CORRECTED)
def test_a_query_of_budgets_as_the_errata_have_it(prometheus, query):
    count, least, most = CORRECTED[query]
    found = in_both_jobs(prometheus, query)
    assert len(found) == 2 * count
    for has, value in found:
        assert has.get("backend", "openai-capped") == "openai-capped"
        assert least <= value <= most


def test_every_query_of_the_guide_is_here_or_in_the_errata():
    text = shared("seed/metrics-and-monitoring-guide.md").read_text()
    written = [each.strip() for each in re.findall(r"```promql\n(.*?)```", text, re.DOTALL)]
    written += [json.loads(f'"{each}"') for each in re.findall(r'"expr": "(.*)"', text)]
    written += [each.strip() for each in re.findall(r"- record: \S+\n +expr: (\w.*)", text)]
    missing = [each for each in written if each not in QUERIES and not any(part in each for part in ERRATA)]
    assert len(written) > 15
    assert not missing


def test_the_cost_is_stored_under_exactly_its_name(prometheus):
    names = json.loads(get(f"{prometheus.url}/api/v1/label/__name__/values"))["data"]
    assert [each for each in names if "cost" in each] == ["llm_estimated_cost_usd"]
    assert not [each for each in names if each.endswith("_created")]
    for job in ("demo", "classic"):
        found = prometheus.query(f'llm_estimated_cost_usd{{job="{job}"}}')
        assert {has["backend"] for has, _ in found} == BACKENDS
    kinds = json.loads(get(f"{prometheus.url}/api/v1/targets/metadata?metric=llm_estimated_cost_usd"))["data"]
    assert {each["target"]["job"]: each["type"] for each in kinds} == {"demo": "unknown", "classic": "counter"}


def test_what_is_stored_is_what_the_demo_counted(prometheus, demo):
    query = "sum by (backend) (llm_requests_total{job='demo'})"

    def counted():
        rows = re.findall(
            r'^llm_requests_total\{backend="(.*?)".* (\S+)$', get(f"http://127.0.0.1:{demo}/metrics"), re.MULTILINE
        )
        return {name: sum(float(n) for each, n in rows if each == name) for name in BACKENDS}

    before = counted()
    reached = lambda: {has["backend"]: n for has, n in prometheus.query(query)}  # noqa: E731
    stored = until(
        lambda: all(n >= before[name] for name, n in reached().items()) and reached(), "a scrape of what was counted"
    )
    assert all(before[name] <= stored[name] <= after for name, after in counted().items())


def test_increase_sees_the_first_call_s_cost(tmp_path):
    registry = CollectorRegistry()
    backend = {"Name": "openai", "ModelName": "m", **PRICES}
    meter = Meter.from_settings({"Backends": [backend]}, registry=registry)
    answer = {"model": "m", "usage": {"prompt_tokens": 3_000_000, "completion_tokens": 2_000_000}}
    inner = httpx.MockTransport(lambda _: httpx.Response(200, json=answer))
    server, thread = meter.start_http_server(0)
    try:
        with start(tmp_path, app=server.server_port) as client, httpx.Client(transport=meter.transport(inner)) as http:
            until(lambda: client.query("llm_estimated_cost_usd == 0"), "a first scrape")
            http.post("https://api.openai.com/v1/chat/completions", json={"model": "m"})
            # three at $1 and two at $2
            until(lambda: client.query("llm_estimated_cost_usd == 7"), "its cost")
            # increase() extrapolates to the ends of what it has seen: the less, the more of it has been scraped
            grown = "increase(llm_estimated_cost_usd[1h])"
            until(lambda: client.query(f"{grown} > 3.5 < 10.5"), f"about 7 as {grown}")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
