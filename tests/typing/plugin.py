"""What a user's test may write, checked by mypy: never run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import assert_type

from llmmetrics import Status
from llmmetrics.testing import CallRecord
from pytest_llmmetrics import Fault, LlmBudget, LlmCassette, LlmClock, LlmMetrics, LlmProvider, LlmServer, faults, usd


def test_metrics(llm_metrics: LlmMetrics) -> None:
    assert_type(llm_metrics.tokens, Mapping[str, int])
    assert_type(llm_metrics.cost, Decimal | None)
    assert_type(llm_metrics.calls, int)
    assert_type(llm_metrics.last, CallRecord)
    assert_type(llm_metrics.last.status, Status)
    assert_type(llm_metrics.delta("llm_requests_total", status="success"), float)
    llm_metrics.assert_delta("llm_errors_total", {("openai", "auth"): 1})
    llm_metrics.assert_delta("llm_errors_total", {"auth": 1})
    with llm_metrics.during() as part:
        assert_type(part, LlmMetrics)
    assert llm_metrics.cost == usd("0.1")


def test_provider(llm_provider: LlmProvider, llm_fault: Fault) -> None:
    llm_provider.reply("hi", prompt_tokens=1).then.fail(faults.RATE_LIMIT, times=2).then.stream(["a", "b"])
    llm_provider.fail(llm_fault, for_model="m").replies("a", "b")
    assert_type(llm_provider.requests[0].messages, list[dict[str, str]])
    assert_type(llm_provider.requests[0].max_tokens, int | None)


def test_server(llm_server: LlmServer) -> None:
    llm_server.reply("hi")
    assert_type(llm_server.url, str)


def test_clock_and_budget(llm_clock: LlmClock, llm_budget: LlmBudget) -> None:
    assert_type(llm_clock.set("2026-01-01T00:00:00+00:00"), datetime)
    llm_clock.advance(timedelta(hours=1))
    llm_clock.advance(hours=1)
    llm_budget.set("openai", "0.01", period="Daily", mode="strict")
    assert_type(llm_budget.spent("openai"), Decimal)


def test_cassette(llm_cassette: LlmCassette) -> None:
    assert_type(llm_cassette.play_count, int)
