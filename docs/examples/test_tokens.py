"""What a call used and what it cost, read from the counters that production exports."""

from __future__ import annotations

import asyncio

import openai
from summariser import Summariser, summarise

from pytest_llmmetrics import LlmMetrics, LlmProvider, usd


def test_tokens(llm_metrics: LlmMetrics, llm_provider: LlmProvider, app: Summariser) -> None:
    llm_provider.reply("Short.", prompt_tokens=120, completion_tokens=8)
    assert app.summarise("a long text") == "Short."
    assert llm_metrics.tokens == {"prompt": 120, "completion": 8, "total": 128}
    assert llm_metrics.delta("llm_requests_total", status="success") == 1
    llm_metrics.assert_delta("llm_errors_total", {})  # nothing else moved


def test_cost(llm_metrics: LlmMetrics, llm_provider: LlmProvider, app: Summariser) -> None:
    llm_provider.stream(["Sh", "ort."], prompt_tokens=120, completion_tokens=8)
    assert list(app.stream("a long text")) == ["Sh", "ort."]
    assert llm_metrics.cost == usd("0.0000228")  # $0.15 and $0.60 a million


def test_async(llm_metrics: LlmMetrics, llm_provider: LlmProvider) -> None:
    llm_provider.reply("Short.", prompt_tokens=120, completion_tokens=8)

    async def main() -> str:
        async with openai.AsyncOpenAI(api_key="no-key") as client:
            return await summarise(client, "a long text")

    assert asyncio.run(main()) == "Short."
    assert llm_metrics.last.model == "gpt-4o-mini"
