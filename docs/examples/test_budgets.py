"""What happens when a budget is spent, and when it is there again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openai
import pytest
from summariser import Summariser, second_opinion

import llmmetrics
from pytest_llmmetrics import LlmBudget, LlmClock, LlmMetrics, LlmProvider

if TYPE_CHECKING:
    import anthropic


def test_budget_spent_and_reset(
    llm_budget: LlmBudget, llm_clock: LlmClock, llm_metrics: LlmMetrics, llm_provider: LlmProvider, app: Summariser
) -> None:
    llm_budget.set("openai-primary", "0.01", period="Daily")
    llm_budget.exhaust("openai-primary")
    with pytest.raises(openai.APIStatusError) as caught:
        app.summarise("a long text")
    refusal = llmmetrics.budget_exceeded(caught.value)
    assert refusal is not None
    assert refusal.limit == llm_budget.spent("openai-primary")
    llm_clock.to_next_reset("openai-primary")
    llm_provider.reply("Short.")
    assert app.summarise("a long text") == "Short."
    assert llm_metrics.attempts == 1  # what was refused was never sent


def test_a_budget_for_each_backend(
    llm_budget: LlmBudget,
    llm_metrics: LlmMetrics,
    llm_provider: LlmProvider,
    app: Summariser,
    claude: anthropic.Anthropic,
) -> None:
    llm_budget.set("openai-primary", "0.01")
    llm_budget.exhaust("openai-primary")
    with pytest.raises(openai.APIStatusError):
        app.summarise("a long text")
    llm_provider.reply("Short.")
    assert second_opinion(claude, "a long text") == "Short."
    assert llm_metrics.last.backend == "anthropic-claude"
