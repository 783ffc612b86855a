"""More traps: of those who speak OpenAI's formats with an accent, and rarer ones of Anthropic and Gemini."""

from __future__ import annotations

from decimal import Decimal

import pytest
from support.provider_answers import counts, read, sse

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
    ("parts", "expected"),
    [
        (
            {"completion_tokens": 5, "total_tokens": 40},
            (10, 30),
        ),  # hidden tokens are output that the caller does not see
        ({"completion_tokens": 5, "total_tokens": 7}, (10, 5)),  # too small a total says nothing
        ({"total_tokens": 40}, (10, 30)),
    ],
)
def test_a_streams_total_that_contradicts_its_parts(parts, expected):
    piece = {"model": "m", "choices": [{"delta": {"content": "hi"}}]}
    last = {"model": "m", "choices": [], "usage": {"prompt_tokens": 10, **parts}}
    seen = read(XAI, sse(piece, last), headers=[("content-type", "text/event-stream")])
    assert counts(seen) == expected
    assert seen.usage.reasoning == expected[1] - parts.get("completion_tokens", 0)


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


@pytest.mark.parametrize(("usage", "expected"), [({"totalTokenCount": 40}, None), ({"totalTokenCount": 0}, (0, 0))])
def test_so_is_geminis_total_alone(usage, expected):
    url = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent"
    assert counts(read(url, {"candidates": [], "usageMetadata": usage})) == expected


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


def test_an_error_before_the_last_chunk_of_a_stream():
    usage = {"model": "m", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}
    failed = {"model": "m", "choices": [], "error": {"code": 429, "message": "upstream"}}
    done = b"data: [DONE]\n\n"
    for error in (sse(failed), b'event: error\ndata: {"code": "rate_limit_exceeded"}\n\n', b'error: {"code": 429}\n\n'):
        seen = read(XAI, sse({"model": "m", "choices": []}) + error + sse(usage) + done)
        assert (counts(seen), seen.error_type) == ((3, 4), "rate_limit")
    talk = {"model": "m", "error": None, "choices": [{"delta": {"content": 'an "error": {"code": 429}\nerror: 429'}}]}
    assert read(XAI, sse(talk, usage) + done).error_type is None


def test_openai_a_stream_that_was_asked_for_its_usage_may_say_none():
    asked = {"model": "gpt-4o-mini", "stream": True, "stream_options": {"include_usage": True}}
    events = [{"model": "gpt-4o-mini", "choices": [{"delta": {"content": "a"}}], "usage": None}]
    seen = read("https://api.openai.com/v1/chat/completions", sse(*events) + b"data: [DONE]\n\n", asked=asked)
    assert (seen.usage, seen.cost_usd, seen.error_type) == (None, None, None)


def test_anthropic_compaction_counts_too():
    # https://docs.anthropic.com/en/docs/build-with-claude/compaction: the top level has the last pass only
    passes = [
        {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500},
        {"type": "message", "input_tokens": 23_000, "output_tokens": 1_000},
    ]
    usage = {"input_tokens": 23_000, "output_tokens": 1_000, "iterations": passes}
    start = {"type": "message_start", "message": {"model": "claude-opus-4-6", "usage": {"input_tokens": 1}}}
    delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}
    for answer in ({"model": "claude-opus-4-6", "usage": usage}, sse(start, delta, {"type": "message_stop"})):
        assert counts(read("https://api.anthropic.com/v1/messages", answer)) == (203_000, 4_500)


def test_gemini_images_and_films_in_and_images_out():
    url = "https://generativelanguage.googleapis.com/v1beta/models"
    shown = [{"modality": "IMAGE", "tokenCount": 258}, {"modality": 3, "tokenCount": 2000}]
    usage = {"promptTokenCount": 3000, "candidatesTokenCount": 0, "promptTokensDetails": shown}
    seen = read(f"{url}/gemini-2.5-flash:generateContent", {"usageMetadata": usage})
    assert seen.usage.buckets == {"input": 742, "input_image": 258, "input_video": 2000}
    # $0.30 a million for all three
    assert seen.cost_usd == Decimal("0.0009")
    drawn = [{"modality": "IMAGE", "tokenCount": 1290}]
    usage = {"promptTokenCount": 1000, "candidatesTokenCount": 1290, "candidatesTokensDetails": drawn}
    seen = read(f"{url}/gemini-2.5-flash-image:generateContent", {"usageMetadata": usage})
    assert seen.usage.buckets == {"input": 1000, "output_image": 1290}
    # $0.30 and $30 a million
    assert seen.cost_usd == Decimal("0.0003") + Decimal("0.0387")


def test_gemini_films_out():
    shown = [{"modality": "VIDEO", "tokenCount": 1000}, {"modality": "TEXT", "tokenCount": 10}]
    usage = {"promptTokenCount": 100, "candidatesTokenCount": 1010, "candidatesTokensDetails": shown}
    url = "https://generativelanguage.googleapis.com/v1beta/models/gemini-omni-1.1-flash:generateContent"
    seen = read(url, {"usageMetadata": usage})
    assert seen.usage.buckets == {"input": 100, "output": 10, "output_video": 1000}
    # $1.50, $9 and $17.50 a million
    assert seen.cost_usd == Decimal("0.01774")
