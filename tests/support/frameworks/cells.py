"""The cells of the table, as tests: run in a framework's environment by `support.frameworks.run`.

`record_property("note", …)` is what the table shows in place of "exact".
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from importlib import import_module

import pytest

import llmmetrics
from pytest_llmmetrics import faults, usd

ANSWER = {"prompt_tokens": 120, "completion_tokens": 30}
PRICES = {"CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 10}
COST = usd("0.00042")
PUBLIC = "https://api.openai.com/v1"
ADDRESS = os.environ.get("FRAMEWORK_URL", PUBLIC)
"""Where the cassette is recorded; the replay asks the same address, where nothing listens then."""

driver = import_module(f"support.frameworks.drivers.{os.environ['FRAMEWORK']}")


@pytest.fixture(autouse=True)
def _lacks(request):
    if reason := driver.LACKS.get(request.node.originalname.removeprefix("test_")):
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def _limit():
    """End a cell that waits: for the rest of a stream, for example."""
    signal.signal(signal.SIGALRM, _late)
    signal.alarm(90)
    yield
    signal.alarm(0)


def _late(*_):
    raise TimeoutError("this cell took more than 90 seconds")


@pytest.fixture
def url(request):
    if "llm_cassette" in request.fixturenames:
        return ADDRESS
    return f"{request.getfixturevalue('llm_server').url}/v1" if "llm_server" in request.fixturenames else PUBLIC


@pytest.fixture
def inject():
    return False


@pytest.fixture
def llm_settings(url, inject):
    return {"Backends": [{"Name": "model", "BaseUrl": url, "InjectStreamUsage": inject, **PRICES}]}


def _exact(llm_metrics, *, attempts=1):
    gc.collect()
    assert [each.status.value for each in llm_metrics.records] == ["failure"] * (attempts - 1) + ["success"]
    assert llm_metrics.last.usage_known
    assert llm_metrics.last.model == "gpt-4o-mini"
    assert llm_metrics.tokens == {"prompt": 120, "completion": 30, "total": 150}
    assert llm_metrics.cost == COST
    assert llm_metrics.value("llm_active_requests") == 0


def test_json(llm_metrics, llm_server, url):
    llm_server.reply(driver.TEXT, **ANSWER)
    assert "hi there friend" in driver.ask(url)
    _exact(llm_metrics)


def test_stream(llm_metrics, llm_server, url, record_property):
    llm_server.reply(driver.TEXT, **ANSWER)
    assert "hi there friend" in driver.stream(url)
    gc.collect()
    if llm_metrics.last.usage_known:
        _exact(llm_metrics)
        return
    record_property("note", "`InjectStreamUsage`")
    assert [each.status.value for each in llm_metrics.records] == ["success"]
    assert llm_metrics.cost > 0


@pytest.mark.parametrize("inject", [True])
def test_stream_with_injection(llm_metrics, llm_server, url):
    llm_server.reply(driver.TEXT, **ANSWER)
    assert "hi there friend" in driver.stream(url)
    _exact(llm_metrics)


def test_async(llm_metrics, llm_server, url):
    llm_server.reply(driver.TEXT, **ANSWER)
    assert "hi there friend" in asyncio.run(driver.ask_async(url))
    _exact(llm_metrics)


def test_early_close(llm_metrics, llm_server, url):
    # the rest of it never comes: a framework that reads on to the end would wait for it
    llm_server.fail(faults.stall_after(12), text=driver.TEXT)
    driver.stream(url, leave=True)
    gc.collect()
    assert [each.status.value for each in llm_metrics.records] == ["cancelled"]
    assert not llm_metrics.last.usage_known
    assert llm_metrics.cost > 0
    assert llm_metrics.errors == {}
    assert llm_metrics.value("llm_active_requests") == 0


def test_retry(llm_metrics, llm_server, url):
    llm_server.fail(faults.UNAVAILABLE).then.reply(driver.TEXT, **ANSWER)
    assert "hi there friend" in driver.ask(url, retries=1)
    _exact(llm_metrics, attempts=2)
    assert (llm_metrics.calls, llm_metrics.errors) == (1, {"api_error": 1})


def test_provider_fixture(llm_metrics, llm_provider):
    llm_provider.reply(driver.TEXT, **ANSWER)
    assert "hi there friend" in driver.ask(None)
    _exact(llm_metrics)
    if "async" not in driver.LACKS:
        llm_provider.reply(driver.TEXT, **ANSWER)
        assert "hi there friend" in asyncio.run(driver.ask_async(None))
        assert llm_metrics.attempts == 2
    llm_provider.fail(faults.BAD_KEY)
    with pytest.raises(Exception):  # noqa: B017 - each framework has its own
        driver.ask(None)
    assert llm_metrics.errors == {"auth": 1}


@pytest.fixture
def llm_cassette_dir():
    from pathlib import Path

    return Path.cwd()


@pytest.mark.llm_cassette("framework")
def test_cassette(llm_metrics, llm_cassette, url):
    assert "hi there friend" in driver.ask(url)
    _exact(llm_metrics)
    if "async" not in driver.LACKS:
        assert "hi there friend" in asyncio.run(driver.ask_async(url))
    if "stream" not in driver.LACKS:
        assert "hi there friend" in driver.stream(url)
    assert {each.status.value for each in llm_metrics.records} == {"success"}


def test_refusal(llm_metrics, llm_budget, llm_server, url, record_property):
    llm_budget.set("model", "0.01")
    llm_budget.exhaust("model")
    asks = [lambda: driver.ask(url)]
    if "stream" not in driver.LACKS:
        asks.append(lambda: driver.stream(url))
    if "async" not in driver.LACKS:
        asks.append(lambda: asyncio.run(driver.ask_async(url)))
    arrived = []
    for ask in asks:
        with pytest.raises(Exception) as caught:
            ask()
        refusal = llmmetrics.budget_exceeded(caught.value)
        assert refusal is not None
        assert (refusal.backend, refusal.reason) == ("model", "limit")
        arrived.append(f"`{type(caught.value).__name__}`")
    assert llm_server.requests == []
    assert llm_metrics.records == []
    assert llm_metrics.delta("llmmetrics_budget_refusals_total") == len(asks)
    record_property("note", ", ".join(dict.fromkeys(arrived)))
