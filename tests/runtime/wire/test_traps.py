"""Where a naive reader goes wrong: a test for each trap, on bodies made by the providers' documentation."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from support.provider_answers import counts, read, sse

OPENAI = "https://api.openai.com/v1"
ANTHROPIC = "https://api.anthropic.com/v1/messages"
GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash"


def test_anthropic_cache_stands_outside_the_input():
    usage = {"input_tokens": 10, "cache_read_input_tokens": 200, "cache_creation_input_tokens": 30, "output_tokens": 5}
    seen = read(ANTHROPIC, {"model": "claude-haiku-4-5", "usage": usage})
    assert counts(seen) == (240, 5)
    assert (seen.usage.cache_read, seen.usage.cache_write) == (200, 30)


@pytest.mark.parametrize(
    ("delta", "expected"), [({"output_tokens": 9}, (50, 9)), ({"input_tokens": 70, "output_tokens": 9}, (70, 9))]
)
def test_anthropic_message_delta_is_merged_with_message_start_and_the_later_wins(delta, expected):
    start = {"model": "claude-haiku-4-5", "usage": {"input_tokens": 50, "output_tokens": 1}}
    events = [{"type": "message_start", "message": start}, {"type": "message_delta", "usage": delta}]
    seen = read(ANTHROPIC, sse(*events, {"type": "message_stop"}))
    assert counts(seen) == expected
    assert seen.model_responded == "claude-haiku-4-5"


def test_anthropic_passes_are_missing_from_the_top_level_and_each_has_its_models_price():
    passes = [
        {"type": "advisor_message", "model": "claude-opus-4-5", "input_tokens": 1000, "output_tokens": 100},
        {"type": "message", "input_tokens": 2000, "output_tokens": 200},
    ]
    usage = {"input_tokens": 2000, "output_tokens": 200, "iterations": passes}
    seen = read(ANTHROPIC, {"model": "claude-haiku-4-5", "usage": usage})
    assert counts(seen) == (3000, 300)
    # 1000 at $5 and 100 at $25 a million; 2000 at $1 and 200 at $5
    assert seen.cost_usd == Decimal("0.0075") + Decimal("0.003")


def test_anthropic_web_searches_cost_a_cent_each():
    usage = {"input_tokens": 1000, "output_tokens": 0, "server_tool_use": {"web_search_requests": 3}}
    seen = read(ANTHROPIC, {"model": "claude-haiku-4-5", "usage": usage})
    assert seen.cost_usd == Decimal("0.001") + Decimal("0.03")


def test_gemini_thoughts_and_tool_prompts_stand_beside_the_other_counts():
    usage = {"promptTokenCount": 10, "toolUsePromptTokenCount": 5, "candidatesTokenCount": 7, "thoughtsTokenCount": 20}
    seen = read(f"{GEMINI}:generateContent", {"usageMetadata": usage})
    assert counts(seen) == (15, 27)
    assert seen.usage.reasoning == 20


def test_gemini_counts_that_are_not_there():
    assert counts(read(f"{GEMINI}:generateContent", {"usageMetadata": {"promptTokenCount": 4}})) == (4, 0)
    assert counts(read(f"{GEMINI}:generateContent", {"usageMetadata": {}})) is None
    assert counts(read(f"{GEMINI}:batchEmbedContents", {"embeddings": []})) is None
    embedded = {"embeddings": [], "usageMetadata": {"promptTokenCount": 8}}
    assert counts(read(f"{GEMINI}:embedContent", embedded)) == (8, 0)


GROWING = [
    {"candidates": [{}], "usageMetadata": {"promptTokenCount": 8, "candidatesTokenCount": 1}},
    {"candidates": [{}], "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 6}},
]


@pytest.mark.parametrize(
    "body",
    [sse(*GROWING), sse(*GROWING, newline="\r\n"), json.dumps(GROWING, indent=1).encode()],
    ids=["sse", "crlf", "array"],
)
def test_gemini_streams_in_any_framing_and_the_last_prompt_count_holds(body):
    assert counts(read(f"{GEMINI}:streamGenerateContent", body)) == (9, 6)


@pytest.mark.parametrize("audio", ["AUDIO", 4])
def test_gemini_modalities_have_prices_of_their_own_and_may_be_integers(audio):
    details = [{"modality": audio, "tokenCount": 1000}, {"modality": "TEXT", "tokenCount": 500}]
    usage = {"promptTokenCount": 1500, "candidatesTokenCount": 0, "promptTokensDetails": details}
    seen = read(f"{GEMINI}:generateContent", {"usageMetadata": usage, "modelVersion": "gemini-2.5-flash"})
    assert seen.usage.buckets == {"input": 500, "input_audio": 1000}
    # $0.30 a million for text, $1.00 for audio
    assert seen.cost_usd == Decimal("0.00015") + Decimal("0.001")


def test_gemini_at_its_openai_endpoint_shows_thinking_in_the_total_only():
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 40}
    seen = read("https://generativelanguage.googleapis.com/v1beta/openai/chat/completions", {"usage": usage})
    assert counts(seen) == (10, 30)
    assert seen.usage.reasoning == 25


def test_gemini_interactions_have_names_of_their_own():
    usage = {
        "total_input_tokens": 9,
        "total_output_tokens": 13,
        "total_thought_tokens": 220,
        "total_tool_use_tokens": 2,
    }
    answer = {"model": "gemini-2.5-flash", "usage": usage}
    url = "https://generativelanguage.googleapis.com/v1beta/interactions"
    events = [
        {"event_type": "interaction.created", "interaction": {"model": "gemini-2.5-flash"}},
        {"event_type": "interaction.completed", "interaction": answer},
    ]
    assert counts(read(url, answer)) == counts(read(url, sse(*events))) == (11, 233)


def test_openai_a_stream_without_usage_says_none():
    seen = read(f"{OPENAI}/chat/completions", sse({"model": "gpt-4o-mini", "choices": [{"delta": {"content": "a"}}]}))
    assert (seen.usage, seen.cost_usd, seen.error_type) == (None, None, None)


USED = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


@pytest.mark.parametrize(
    "body",
    [
        sse({"choices": [{}]}, {"choices": [], "usage": USED}) + b"data: [DONE]\n\n",
        sse({"choices": [{}], "usage": {**USED, "completion_tokens": 2}}, {"choices": [{}], "usage": USED}),
        sse({"choices": [{}]}, {"choices": [{}], "x_groq": {"usage": USED}}),
        b": OPENROUTER PROCESSING\n\n" + sse({"choices": [], "usage": USED}) + b": ping\n\n",
        sse({"choices": [], "usage": USED}),
    ],
    ids=["no choices", "in every chunk", "x_groq", "comments", "no [DONE]"],
)
def test_openai_streamed_usage_wherever_it_stands(body):
    assert counts(read(f"{OPENAI}/chat/completions", body)) == (3, 4)


def test_openai_a_response_that_is_not_done():
    assert counts(read(f"{OPENAI}/responses", {"status": "queued", "background": True, "usage": None})) is None
    cut = {"status": "incomplete", "usage": {"input_tokens": 3, "output_tokens": 16}}
    seen = read(f"{OPENAI}/responses", cut)
    assert (counts(seen), seen.error_type) == ((3, 16), None)


def test_openai_completions_whose_usage_has_no_completion():
    assert counts(read(f"{OPENAI}/completions", {"usage": {"prompt_tokens": 3, "total_tokens": 3}})) == (3, 0)


def test_azures_url_names_a_deployment_and_only_the_answer_the_model():
    url = "https://me.openai.azure.com/openai/deployments/my-own/chat/completions?api-version=2024-10-21"
    seen = read(url, {"model": "gpt-4o-mini-2024-07-18", "usage": USED}, asked={"messages": []})
    assert (seen.model_requested, seen.model_responded) == ("my-own", "gpt-4o-mini-2024-07-18")
    # 3 at $0.15 and 4 at $0.60 a million
    assert seen.cost_usd == Decimal("0.00000285")


def test_ollama_leaves_out_a_prompt_that_it_had_cached():
    seen = read("http://localhost:11434/api/chat", {"model": "llama3", "done": True, "eval_count": 5})
    assert counts(seen) == (0, 5)
    assert seen.cost_usd is None
    embedded = {"model": "nomic-embed-text", "embeddings": [[0.1]], "prompt_eval_count": 8}
    assert counts(read("http://localhost:11434/api/embed", embedded)) == (8, 0)


def test_the_model_that_answers_is_not_the_one_asked_for():
    answer = {"model": "gpt-4o-mini-2024-07-18", "usage": USED}
    seen = read(f"{OPENAI}/chat/completions", answer, asked={"model": "gpt-4o-mini"})
    assert (seen.model_requested, seen.model_responded) == ("gpt-4o-mini", "gpt-4o-mini-2024-07-18")


@pytest.mark.parametrize(
    ("url", "body", "expected"),
    [
        (ANTHROPIC, b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error"}}\n\n', "api_error"),
        (f"{OPENAI}/chat/completions", sse({"error": {"code": "rate_limit_exceeded"}}), "rate_limit"),
        (f"{OPENAI}/chat/completions", {"error": {"code": 429, "message": "upstream"}}, "rate_limit"),
        (f"{OPENAI}/chat/completions", b'error: {"code": "invalid_api_key"}\n\n', "auth"),
        (f"{OPENAI}/responses", sse({"type": "response.failed", "response": {"error": {"code": "x"}}}), "api_error"),
    ],
)
def test_an_error_inside_a_200(url, body, expected):
    assert read(url, body).error_type == expected


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"error": {"code": 400, "details": [{"reason": "API_KEY_INVALID"}]}}, "auth"),
        (400, {"code": "invalid-argument", "error": "Incorrect API key provided: x. See the console."}, "auth"),
        (429, {"error": "slow down"}, "rate_limit"),
        (500, b"Internal Server Error", "api_error"),
        (401, b"", "auth"),
    ],
)
def test_errors_are_objects_strings_plain_text_or_nothing(status, body, expected):
    assert read(f"{OPENAI}/chat/completions", body, status=status).error_type == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"cost": 0.25}, "0.25"),
        ({"cost": 0}, "0.00000285"),
        ({"cost": {"total_cost": 0.5}}, "0.5"),
        ({"cost_in_usd_ticks": 5_000_000}, "0.0005"),
        ({"pydantic_ai_gateway": {"cost_estimate": 0.75}}, "0.75"),
    ],
)
def test_the_wires_own_cost_is_preferred_unless_it_is_nothing(usage, expected):
    answer = {"model": "openai/gpt-4o-mini", "usage": {**USED, **usage}}
    assert read("https://openrouter.ai/api/v1/chat/completions", answer).cost_usd == Decimal(expected)


def test_anthropics_legacy_completions_say_no_usage():
    answer = {"type": "completion", "completion": " a", "model": "claude-2.1", "stop_reason": "stop_sequence"}
    seen = read("https://api.anthropic.com/v1/complete", answer)
    assert (seen.usage, seen.model_responded, seen.error_type) == (None, "claude-2.1", None)
