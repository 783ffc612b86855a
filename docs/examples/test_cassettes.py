"""Failures from cassettes that ship with the plugin: nothing is scripted, nothing was recorded."""

from __future__ import annotations

import openai
import pytest
from summariser import Summariser

from pytest_llmmetrics import LlmMetrics


@pytest.mark.llm_cassette("openai/rate_limited")
def test_rate_limited(llm_metrics: LlmMetrics, app: Summariser) -> None:
    with pytest.raises(openai.RateLimitError):
        app.summarise("a long text")
    assert llm_metrics.errors == {"rate_limit": 1}


@pytest.mark.llm_cassette("openai/cut")
def test_cut(llm_metrics: LlmMetrics, app: Summariser) -> None:
    with pytest.raises(openai.APIConnectionError):
        list(app.stream("a long text"))
    assert llm_metrics.last.error_type == "network"


@pytest.mark.llm_cassette("openai/overloaded", "openai/success")
def test_second_attempt(llm_metrics: LlmMetrics, app: Summariser) -> None:
    app.client.max_retries = 1
    assert app.summarise("a long text") == "Hello from the simulated provider."
    assert (llm_metrics.calls, llm_metrics.attempts) == (1, 2)
