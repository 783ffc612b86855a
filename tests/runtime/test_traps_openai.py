"""The traps of those who speak OpenAI's formats with an accent; OpenAI's own are in `test_traps`."""

from __future__ import annotations

import pytest
from answers import counts, read, sse

XAI = "https://api.x.ai/v1/chat/completions"
GEMINI = "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions"


@pytest.mark.parametrize("visible", [9, 0])
def test_xais_reasoning_is_outside_the_completion_and_inside_the_total(visible):
    usage = {"prompt_tokens": 32, "completion_tokens": visible, "total_tokens": 126 + visible}
    seen = read(
        XAI, {"model": "grok-3-mini", "usage": {**usage, "completion_tokens_details": {"reasoning_tokens": 94}}}
    )
    assert counts(seen) == (32, 94 + visible)
    assert seen.usage.reasoning == 94


def test_gemini_that_thought_until_it_was_cut_says_so_in_the_total_only():
    seen = read(GEMINI, {"usage": {"prompt_tokens": 21, "completion_tokens": 0, "total_tokens": 81}})
    assert (counts(seen), seen.usage.reasoning) == ((21, 60), 60)


@pytest.mark.parametrize(
    "usage",
    [
        {"total_tokens": 40},
        {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None},
        {"type": "duration", "seconds": 9},
        {},
        None,
        [],
    ],
)
def test_a_usage_without_a_count_is_unknown_and_not_nothing(usage):
    seen = read(XAI, {"model": "grok-4", "usage": usage})
    assert (seen.usage, seen.cost_usd) == (None, None)


def test_a_usage_that_counts_nothing_is_known():
    seen = read(XAI, {"model": "grok-4", "usage": {"prompt_tokens": 0, "completion_tokens": 0}})
    assert (counts(seen), seen.cost_usd) == ((0, 0), 0)


def test_writers_details_are_in_the_singular():
    usage = {"prompt_tokens": 40, "completion_tokens": 300, "prompt_token_details": {"cached_tokens": 30}}
    seen = read(
        "https://api.writer.com/v1/chat", {"usage": {**usage, "completion_token_details": {"reasoning_tokens": 7}}}
    )
    assert (seen.usage.cache_read, seen.usage.reasoning) == (30, 7)


def test_azures_extensions_name_the_deployment_too():
    url = "https://me.openai.azure.com/openai/deployments/my-own/extensions/chat/completions?api-version=2023-08-01-preview"
    assert (
        read(url, {"model": "gpt-4", "usage": {"prompt_tokens": 1}}, asked={"messages": []}).model_requested == "my-own"
    )


def test_openrouters_error_in_the_last_chunk_of_a_stream():
    chunk = {"model": "openai/gpt-4o", "choices": [{"delta": {"content": ""}, "finish_reason": "error"}]}
    failed = {**chunk, "error": {"code": "server_error", "message": "Provider disconnected"}}
    seen = read("https://openrouter.ai/api/v1/chat/completions", sse(chunk, failed))
    assert seen.error_type == "api_error"
