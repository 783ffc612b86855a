"""Libraries that have several ways to send, each way as a test: run in environments by tests/frameworks/test_transports.py."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from unittest import mock

import pytest
from prometheus_client import CollectorRegistry

import llmmetrics
from llmmetrics.testing import Answer, serve
from pytest_llmmetrics import usd
from pytest_llmmetrics.network import denied

PRICES = {"CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 10}
ANSWER = Answer("hi there", prompt_tokens=120, completion_tokens=30)
MESSAGES = [{"role": "user", "content": "Say hi."}]
TRANSPORTS = ("sync httpx", "async aiohttp", "async httpx")


@pytest.fixture
def llm_settings(llm_server):
    return {"Backends": [{"Name": "model", "BaseUrl": llm_server.url, "InjectStreamUsage": True, **PRICES}]}


@pytest.fixture
def through_aiohttp():
    """Count the requests that sessions of aiohttp send."""
    aiohttp = pytest.importorskip("aiohttp")
    sent, original = [], aiohttp.ClientSession._request

    async def count(*args, **options):
        sent.append(args)
        return await original(*args, **options)

    with mock.patch.object(aiohttp.ClientSession, "_request", count):
        yield sent


def _check(llm_metrics, llm_server, ask):
    """Ask once, and again with a spent budget: the first call is exact, and the second sends nothing."""
    llm_server.reply(ANSWER.text, prompt_tokens=120, completion_tokens=30)
    ask()
    gc.collect()
    assert [each.status.value for each in llm_metrics.records] == ["success"]
    assert llm_metrics.last.usage_known
    assert llm_metrics.tokens == {"prompt": 120, "completion": 30, "total": 150}
    assert llm_metrics.cost == usd("0.00042")


def _check_refused(llm_metrics, llm_budget, llm_server, ask):
    llm_budget.set("model", "0.01")
    llm_budget.exhaust("model")
    before = len(llm_server.requests)
    with pytest.raises(Exception) as caught:
        ask()
    assert llmmetrics.budget_exceeded(caught.value).backend == "model"
    assert len(llm_server.requests) == before
    assert llm_metrics.delta("llmmetrics_budget_refusals_total") == 1


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_litellm(llm_metrics, llm_budget, llm_server, through_aiohttp, transport, model, stream):
    import litellm

    base = f"{llm_server.url}/v1" if model.startswith("openai") else llm_server.url
    options = {"model": model, "messages": MESSAGES, "api_base": base, "api_key": "x", "max_tokens": 50}

    async def asked():
        # a client of the last event loop cannot be used in this one
        litellm.in_memory_llm_clients_cache.flush_cache()
        made = await litellm.acompletion(**options, stream=stream, max_retries=0)
        if stream:
            async for _ in made:
                pass

    def ask():
        if transport != "sync httpx":
            asyncio.run(asked())
            return
        made = litellm.completion(**options, stream=stream, max_retries=0)
        if stream:
            for _ in made:
                pass

    with mock.patch.object(litellm, "disable_aiohttp_transport", transport == "async httpx"):
        _check(llm_metrics, llm_server, ask)
        # LiteLLM keeps some of its Anthropic clients, whatever the switch says later
        if model.startswith("openai"):
            assert len(through_aiohttp) == (transport == "async aiohttp")
        _check_refused(llm_metrics, llm_budget, llm_server, ask)


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_google_genai(llm_metrics, llm_budget, llm_server, asynchronous, stream):
    from google import genai

    def made():
        return genai.Client(api_key="x", http_options={"base_url": llm_server.url})

    async def asked():
        client = made()
        aio = client.aio
        if stream:
            async for _ in await aio.models.generate_content_stream(model="gemini-2.5-flash", contents="Say hi."):
                pass
        else:
            await aio.models.generate_content(model="gemini-2.5-flash", contents="Say hi.")
        await aio.aclose()

    def ask():
        # without a reference, it closes itself
        client = made()
        if asynchronous:
            asyncio.run(asked())
        elif stream:
            list(client.models.generate_content_stream(model="gemini-2.5-flash", contents="Say hi."))
        else:
            client.models.generate_content(model="gemini-2.5-flash", contents="Say hi.")

    _check(llm_metrics, llm_server, ask)
    _check_refused(llm_metrics, llm_budget, llm_server, ask)


def test_google_genai_has_aiohttp():
    """The same tests run with it and without it."""
    import aiohttp

    assert aiohttp


def test_dspy_s_default_engine_is_counted_stopped_and_named():
    import dspy

    with serve(ANSWER) as server:
        settings = {"Backends": [{"Name": "model", "BaseUrl": f"{server.url}/v1", **PRICES}]}
        registry = CollectorRegistry()
        meter = llmmetrics.Meter.from_settings(settings, registry=registry)
        llmmetrics.instrument(meter)
        # each connection is seen, and this engine keeps one open
        ask = lambda: dspy.LM("openai/gpt-4o-mini", api_base=f"{server.url}/v1", api_key="x", cache=False)("Say hi.")  # noqa: E731
        try:
            assert ask()
            assert len(server.requests) == 1
            (host,) = {f"localhost:{server.url.rpartition(':')[2]}"}
            name = "llmmetrics_unmetered_connections_total"
            assert registry.get_sample_value(name, {"host": host}) == 1
            with denied() as tried, pytest.raises(Exception):  # noqa: B017 - DSPy's own
                dspy.LM("openai/gpt-4o-mini", api_key="x", cache=False, num_retries=0)("Say hi.")
            assert tried
        finally:
            llmmetrics.uninstrument()
    told = subprocess.run([sys.executable, "-m", "llmmetrics", "doctor"], capture_output=True, text=True, check=False)
    assert "dspy" in told.stdout
    assert 'dspy.LM(MODEL, engine="litellm")' in told.stdout
