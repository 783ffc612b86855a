"""How the application, and its metrics, take every way in which a provider fails."""

from __future__ import annotations

from contextlib import suppress

import openai
import pytest
from summariser import Summariser

from pytest_llmmetrics import Fault, LlmMetrics, LlmProvider, faults


def test_timeout(llm_metrics: LlmMetrics, llm_provider: LlmProvider, app: Summariser) -> None:
    llm_provider.fail(faults.READ_TIMEOUT)
    with pytest.raises(openai.APITimeoutError):
        app.summarise("a long text")
    llm_metrics.assert_delta("llm_requests_total", {"timeout": 1})


def test_bad_key(llm_metrics: LlmMetrics, llm_provider: LlmProvider, app: Summariser) -> None:
    llm_provider.fail(faults.BAD_KEY)
    with pytest.raises(openai.AuthenticationError):
        app.summarise("a long text")
    assert llm_metrics.errors == {"auth": 1}


def test_cut_stream(llm_metrics: LlmMetrics, llm_provider: LlmProvider, app: Summariser) -> None:
    llm_provider.fail(faults.cut_after(3), text="one two three four")
    with pytest.raises(openai.APIConnectionError):
        list(app.stream("a long text"))
    assert llm_metrics.errors == {"network": 1}
    assert not llm_metrics.last.usage_known  # what passed is estimated, never 0


def test_retry(llm_metrics: LlmMetrics, llm_provider: LlmProvider, app: Summariser) -> None:
    llm_provider.fail(faults.UNAVAILABLE).then.reply("Short.")
    app.client.max_retries = 1
    assert app.summarise("a long text") == "Short."
    assert (llm_metrics.calls, llm_metrics.attempts) == (1, 2)


@pytest.mark.llm_faults
def test_every_fault(llm_fault: Fault, llm_metrics: LlmMetrics, llm_provider: LlmProvider, app: Summariser) -> None:
    llm_provider.fail(llm_fault)
    with suppress(openai.OpenAIError, ValueError, AttributeError, TypeError):
        app.summarise("a long text")
    last = llm_metrics.last
    assert (last.status, last.error_type) == (llm_fault.status, llm_fault.error_type)
