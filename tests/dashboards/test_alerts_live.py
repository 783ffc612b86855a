"""The shipped rules and the runbooks' queries in a real Prometheus: each has data, and alerts reach a receiver."""

from __future__ import annotations

import re
import sys
import threading
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import isnan
from types import SimpleNamespace

import httpx2
import pytest
import yaml
from prometheus_client import CollectorRegistry
from support.alerting import (
    DOCS,
    RULES,
    Received,
    alertmanager_config,
    alerts,
    faster,
    looked_at,
    prometheus_config,
    rules,
    shipped,
    webhook,
)
from support.servers import alertmanager, free_port, prometheus, running, until

from llmmetrics import BudgetExceeded, Meter
from llmmetrics.cli.demo import command, traffic
from llmmetrics.cli.demo.clock import MovedClock, served
from llmmetrics.testing import faults, reply, serve

# every query has data of the demo


@pytest.fixture(scope="module")
def scraped(tmp_path_factory):
    """A Prometheus with the shipped rules, which scrapes the demo."""
    directory = tmp_path_factory.mktemp("demo")
    for name in RULES:
        document = shipped(f"prometheus/{name}")
        for group in document["groups"]:
            # the interval of scrapes
            group.pop("interval", None)
        (directory / name).write_text(yaml.safe_dump(document), "utf8")
    port = free_port()
    with (
        running([sys.executable, "-m", "llmmetrics", "demo", "--port", str(port)], directory / "log"),
        prometheus(directory, prometheus_config(directory, f"127.0.0.1:{port}", interval="1s")) as client,
    ):
        retried = "sum(increase(llmmetrics_retries_total[5m])) > 0"
        until(lambda: client.query(retried), "a scrape of the demo's retries", 120)
        yield client


EXPRESSIONS = [
    *((f"{name} {n}", each) for name, rule in alerts().items() for n, each in enumerate(looked_at(rule["expr"]))),
    *((rule["record"], rule["expr"]) for rule in rules("recording.yml")),
    *(
        (f"{page.stem} {n}", looked_at(query)[0])
        for page in (DOCS / "alerts.md", *sorted((DOCS / "runbooks").glob("*.md")))
        for n, query in enumerate(
            re.findall(r"^```promql\n(.*?)^```", page.read_text("utf8"), re.DOTALL | re.MULTILINE)
        )
    ),
]


@pytest.mark.parametrize(
    ("name", "expression"), EXPRESSIONS, ids=[f"{n} {name}" for n, (name, _) in enumerate(EXPRESSIONS)]
)
def test_a_query_has_data_of_the_demo(scraped, name, expression):
    # a ratio has no value before the first call
    found = until(lambda: [each for each in scraped.query(expression) if not isnan(each[1])], name)
    assert {has.get("job", "llm-backend") for has, _ in found} == {"llm-backend"}


def test_prometheus_finds_no_fault_in_a_rule(scraped):
    def evaluated():
        found = [rule for group in scraped.api("rules")["groups"] for rule in group["rules"]]
        return found if all(rule["health"] != "unknown" for rule in found) else []

    found = until(evaluated, "an evaluation of every rule", 120)
    assert len(found) == sum(len(rules(name)) for name in RULES)
    assert [rule for rule in found if rule["health"] != "ok"] == []


# alerts fire and resolve


class World:
    """The demo's backends, with scripted providers, called without a pause.

    The budget is $5 a month, of which half has gone by.
    """

    ANTHROPIC, GEMINI, CAPPED = "anthropic-claude", "gemini", "openai-capped"

    def __init__(self, stack):
        self.down = False
        self.bad = {24}
        """The calls to Gemini that fail, out of 24."""
        self.tokens = 0
        """The tokens of the next call to the backend with a budget, at ten cents each; 0: no call."""
        self.always = False
        """Whether to repeat the call."""
        self.clock = MovedClock()
        self._provider = stack.enter_context(serve(answering=self._answer))
        self._moved = stack.enter_context(served(self.clock, 0))
        settings = command.settings(self._provider.url)
        day = (datetime.now(UTC) + timedelta(days=14)).day
        (capped,) = (each for each in settings["LlmSettings"]["Backends"] if each["Name"] == self.CAPPED)
        capped |= {"CostPerMillionInputTokens": 0, "CostPerMillionOutputTokens": 100_000, "MaxSpendUsd": 5}
        capped |= {"SpendResetPeriod": "Monthly", "SpendResetDayOfMonth": day}
        self._meter = Meter.from_settings(settings, registry=CollectorRegistry(), clock=self.clock)
        stack.callback(self._meter.close)
        server, thread = self._meter.start_http_server(0)
        stack.callback(thread.join)
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        self.target = f"127.0.0.1:{server.server_port}"
        self._end = threading.Event()
        self._calls = 0
        caller = threading.Thread(target=self._call)
        caller.start()
        stack.callback(caller.join)
        stack.callback(self._end.set)

    def advance(self, **by):
        httpx2.post(f"{self._moved}/advance?seconds={timedelta(**by).total_seconds()}").raise_for_status()

    def spend(self, tokens):
        self.tokens = tokens
        until(lambda: self.tokens == 0, "the spending call")

    def _answer(self, request):
        if request.path == traffic.ANTHROPIC and self.down:
            return reply(request, faults.UNAVAILABLE)
        if request.path.startswith(traffic.GEMINI):
            self._calls = self._calls % 24 + 1
            if self._calls in self.bad:
                return reply(request, faults.CONTEXT_TOO_LONG)
        return reply(request, replace(traffic.SKY, completion_tokens=self.tokens or 1))

    def _call(self):
        with httpx2.Client(base_url=self._provider.url, transport=self._meter.transport()) as client:
            while not self._end.wait(0.1):
                client.post(traffic.OPENAI, json=traffic.GPT)
                for _ in range(2):
                    client.post(traffic.ANTHROPIC, json=traffic.CLAUDE)
                for _ in range(24):
                    client.post(f"{traffic.GEMINI}:generateContent", json=traffic.CONTENTS)
                if self.tokens or self.always:
                    with suppress(BudgetExceeded):
                        client.post(traffic.CAPPED, json=traffic.O1)
                    self.tokens = 0


@pytest.fixture
def scene(tmp_path):
    """The backends, and the alerts that a receiver gets, with rules sixty times as fast."""
    for name in RULES:
        (tmp_path / name).write_text(yaml.safe_dump(faster(shipped(f"prometheus/{name}"))), "utf8")
    received = Received()
    with ExitStack() as stack:
        world = World(stack)
        url = stack.enter_context(webhook(received))
        manager = stack.enter_context(alertmanager(tmp_path, alertmanager_config(url)))
        config = prometheus_config(tmp_path, world.target, manager, interval="500ms")
        client = stack.enter_context(prometheus(tmp_path, config))
        until(lambda: client.query('rate(llm_requests_total{status="success"}[5s]) > 0'), "a rate of calls")
        yield SimpleNamespace(world=world, prometheus=client, received=received)


def test_exactly_the_expected_alerts_reach_a_receiver_and_resolve_after_the_reset(scene):
    world, received = scene.world, scene.received
    expected = set()

    def fires(*more):
        expected.update(more)
        until(lambda: received.status.keys() >= expected, f"each of {sorted(expected)}")
        assert received.status.keys() == expected

    # 60% of a month's budget in half a month, all of it now
    world.spend(30)
    world.down = True
    fires(
        ("ticket", "LLMBudgetPace", world.CAPPED),
        ("ticket", "HighLLMErrorRate", world.ANTHROPIC),
        ("page", "HighLLMErrorRatioByType", world.ANTHROPIC, "api_error"),
        ("page", "LLMBackendUnhealthy", world.ANTHROPIC),
        ("page", "LLMNoSuccessfulCalls", world.ANTHROPIC),
    )
    # 1 in 24 was under 5%
    world.bad = {12, 24}
    world.spend(17)
    fires(("ticket", "HighLLMErrorRate", world.GEMINI), ("ticket", "LLMBudgetNearLimit", world.CAPPED))
    world.spend(5)
    world.always = True
    fires(("page", "LLMBudgetExceeded", world.CAPPED))
    refused = f'increase(llmmetrics_budget_refusals_total{{backend="{world.CAPPED}",reason="limit"}}[5s]) > 0'
    until(lambda: scene.prometheus.query(refused), "calls that are refused")
    assert received.annotations["LLMBudgetExceeded"]["description"].startswith(
        "llm-backend has spent $5.20 at openai-capped"
    )

    world.always, world.down, world.bad = False, False, {24}
    world.advance(days=32)
    until(lambda: received.of("resolved") == expected, "the end of every alert")
    assert received.status.keys() == expected
    for rule in rules("recording.yml"):
        until(lambda name=rule["record"]: scene.prometheus.query(name), rule["record"])
