"""A budget under the machine's own clock: frozen, moved past the reset, moved back."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import time_machine
from prometheus_client import CollectorRegistry
from support.servers import get, redis_server

from llmmetrics import BudgetExceeded, Meter

START = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
URL = "https://api.openai.com/v1/chat/completions"
OWN = {"ModelName": "m", "CostPerMillionInputTokens": 0, "CostPerMillionOutputTokens": 1_000_000}


@pytest.fixture(params=["memory", "sqlite", "redis"])
def ledger(request, tmp_path):
    if request.param == "redis":
        (tmp_path / "redis").mkdir()
        with redis_server(tmp_path / "redis") as server:
            yield server.url
    else:
        yield {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/ledger.db"}[request.param]


@pytest.fixture
def travel():
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


class Application:
    """A metered client whose every call costs $3, and its /metrics."""

    def __init__(self, ledger, **backend):
        backend = {"Name": "b", "MaxSpendUsd": 3, "SpendResetPeriod": "Hourly", **OWN, **backend}
        self.meter = Meter.from_settings(
            {"Budget": {"Ledger": ledger}, "Backends": [backend]}, registry=CollectorRegistry()
        )
        reply = {"model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 3}}
        inner = httpx.MockTransport(lambda _: httpx.Response(200, json=reply))
        self.client = httpx.Client(transport=self.meter.transport(inner))
        self.server, self.thread = self.meter.start_http_server(0)

    def call(self):
        return self.client.post(URL, json={"model": "m"}).status_code

    def scrape(self, name, **labels):
        text = get(f"http://127.0.0.1:{self.server.server_port}/metrics")
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        rows = re.findall(rf"^{name}{{(.*)}} (\S+)$", text, re.MULTILINE)
        return [float(value) for has, value in rows if wanted <= set(has.split(","))]

    @property
    def spent(self):
        return self.scrape("llm_backend_budget_usd", limit_type="current")

    def close(self):
        self.client.close()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
        self.meter.close()


@pytest.fixture
def made():
    every = []

    def make(*args, **kwargs):
        every.append(Application(*args, **kwargs))
        return every[-1]

    yield make
    for each in every:
        each.close()


def test_time_past_the_reset(made, ledger, travel):
    application = made(ledger)
    assert application.call() == 200
    with pytest.raises(BudgetExceeded) as caught:
        application.call()
    resets_at = caught.value.resets_at
    assert resets_at == datetime(2026, 11, 24, 13, tzinfo=UTC)
    assert (application.spent, application.scrape("llm_backend_health", backend="b")) == ([3], [0])
    travel.move_to(resets_at - timedelta(microseconds=1))
    with pytest.raises(BudgetExceeded):
        application.call()
    assert application.spent == [3]
    travel.move_to(resets_at)
    # without a request in between
    assert (application.spent, application.scrape("llm_backend_health", backend="b")) == ([0], [1])
    assert application.call() == 200
    assert application.spent == [3]


def test_a_scrape_of_another_process_sees_the_new_window_too(made, tmp_path, travel):
    ledger = f"sqlite:///{tmp_path}/ledger.db"
    one, other = made(ledger), made(ledger)
    one.call()
    assert other.spent == [3]
    with pytest.raises(BudgetExceeded):
        other.call()
    travel.shift(timedelta(hours=1))
    assert (one.spent, other.spent) == ([0], [0])
    assert other.call() == 200
    assert one.spent == [3]


def test_a_clock_that_jumps_back_an_hour(made, ledger, travel):
    """The window of before is there as it was: nothing is lost, nothing is refused at $0."""
    application = made(ledger, MaxSpendUsd=6)
    application.call()
    travel.shift(timedelta(hours=1))
    application.call()
    travel.shift(timedelta(hours=-1))
    assert application.spent == [3]
    assert application.call() == 200
    with pytest.raises(BudgetExceeded) as caught:
        application.call()
    assert (caught.value.spent, caught.value.limit) == (6, 6)
    travel.shift(timedelta(hours=1))
    assert application.spent == [3]
    assert application.call() == 200
    # an hour without spend
    travel.shift(timedelta(hours=-3))
    assert application.spent == [0]
    assert application.call() == 200
