"""The traps of the clouds and of who has an API of their own; the others' are in `test_traps`."""

from __future__ import annotations

import json
from base64 import b64encode
from decimal import Decimal

import pytest
from support.provider_answers import aws, counts, event, read, sse

OPENAI = "https://api.openai.com/v1"
GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash"
VERTEX = "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5/publishers"
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model"
USED = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


@pytest.mark.parametrize(("path", "field"), [("v2/chat", "usage"), ("v1/chat", "meta")])
def test_cohere_counts_tokens_and_bills_units(path, field):
    said = {
        "tokens": {"input_tokens": 505, "output_tokens": 8},
        "billed_units": {"input_tokens": 10, "output_tokens": 7},
    }
    answer = {field: {**said, "cached_tokens": 400}}
    seen = read(f"https://api.cohere.com/{path}", answer, asked={"model": "command-a-03-2025"})
    assert counts(seen) == (505, 8)
    assert seen.usage.cache_read == 400
    # 10 at $2.50 and 7 at $10 a million
    assert seen.cost_usd == Decimal("0.000095")


def test_cohere_streams_in_lines_and_events():
    said = {"tokens": {"input_tokens": 69, "output_tokens": 8}, "billed_units": {"input_tokens": 7, "output_tokens": 6}}
    one = [{"event_type": "text-generation", "text": "a"}, {"event_type": "stream-end", "response": {"meta": said}}]
    two = [{"type": "content-delta"}, {"type": "message-end", "delta": {"usage": said}}]
    lines = b"".join(json.dumps(each).encode() + b"\n" for each in one)
    assert counts(read("https://api.cohere.com/v1/chat", lines)) == (69, 8)
    assert counts(read("https://api.cohere.com/v2/chat", sse(*two))) == (69, 8)


def test_cohere_embeddings_say_what_is_billed_and_rerankers_no_tokens_at_all():
    embedded = {"embeddings": {}, "meta": {"billed_units": {"input_tokens": 12}}}
    assert counts(read("https://api.cohere.com/v2/embed", embedded)) == (12, 0)
    ranked = {"results": [], "meta": {"billed_units": {"search_units": 1}}}
    assert counts(read("https://api.cohere.com/v2/rerank", ranked)) is None
    assert counts(read("https://api.voyageai.com/v1/rerank", {"usage": {"total_tokens": 26}})) == (26, 0)


def test_voyage_says_a_total_only():
    seen = read("https://api.voyageai.com/v1/embeddings", {"model": "voyage-3.5", "usage": {"total_tokens": 1000}})
    assert (counts(seen), seen.cost_usd) == ((1000, 0), Decimal("0.00006"))


def test_mistrals_cache_and_audio():
    url = "https://api.mistral.ai/v1/chat/completions"
    assert read(url, {"usage": {**USED, "num_cached_tokens": 2}}).usage.cache_read == 2
    heard = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 400, "prompt_audio_seconds": 30}
    seen = read(url, {"usage": heard})
    assert counts(seen) == (395, 5)
    assert seen.usage.buckets["input_audio"] == 385


def test_bedrock_streams_in_binary_and_its_cache_stands_outside_the_input():
    usage = {"inputTokens": 3, "outputTokens": 5, "cacheReadInputTokens": 100, "cacheWriteInputTokens": 20}
    body = event("contentBlockDelta", {"delta": {"text": "a"}}) + event("metadata", {"usage": usage, "metrics": {}})
    seen = read(f"{BEDROCK}/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream", body)
    assert counts(seen) == (123, 5)
    assert (seen.usage.cache_read, seen.usage.cache_write) == (100, 20)
    assert seen.provider == "aws-bedrock"


def test_bedrock_invoke_frames_hold_base64_of_the_models_own_events():
    start = {"type": "message_start", "message": {"model": "claude-haiku-4-5", "usage": {"input_tokens": 14}}}
    delta = {"type": "message_delta", "usage": {"output_tokens": 10}}
    stop = {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 14, "outputTokenCount": 9}}
    frames = [event("chunk", {"bytes": b64encode(json.dumps(each).encode()).decode()}) for each in (start, delta, stop)]
    url = f"{BEDROCK}/anthropic.claude-haiku-4-5-20251001-v1%3A0/invoke-with-response-stream"
    assert counts(read(url, b"".join(frames))) == (14, 10)
    # a model whose events have no usage: Bedrock's own counts
    assert counts(read(url, frames[2])) == (14, 9)


@pytest.mark.parametrize(
    "model", ["meta.llama3-70b-instruct-v1:0", "amazon.titan-text-lite-v1", "cohere.command-r-v1:0"]
)
def test_bedrock_counts_stand_in_bodies_or_in_headers_only(model):
    answers = {
        "meta": {"generation": "a", "prompt_token_count": 8, "generation_token_count": 3},
        "amazon": {"inputTextTokenCount": 8, "results": [{"tokenCount": 3, "outputText": "a"}]},
        "cohere": {"text": "a"},
    }
    headers = [("X-Amzn-Bedrock-Input-Token-Count", "8"), ("X-Amzn-Bedrock-Output-Token-Count", "3")]
    answer = answers[model.partition(".")[0]]
    assert counts(read(f"{BEDROCK}/{model}/invoke", answer, headers=headers)) == (8, 3)


def test_bedrock_names_the_model_percent_encoded_or_by_an_arn():
    arn = "arn:aws:bedrock:us-east-1:012345678901:inference-profile/us.amazon.nova-micro-v1:0"
    usage = {"inputTokens": 1000, "outputTokens": 0}
    quoted = arn.replace(":", "%3A").replace("/", "%2F")
    seen = read(f"{BEDROCK}/{quoted}/converse", {"usage": usage})
    assert seen.model_requested == arn
    # $0.035 a million
    assert seen.cost_usd == Decimal("0.000035")


def test_bedrocks_error_inside_a_stream():
    failure = aws({"message": "slow down"}, message_type="exception", exception_type="throttlingException")
    body = event("messageStart", {"role": "assistant"}) + failure
    assert read(f"{BEDROCK}/amazon.nova-micro-v1:0/converse-stream", body).error_type == "rate_limit"


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("https://api.anthropic.com/v1/messages/count_tokens?beta=true", {"input_tokens": 641}),
        (f"{OPENAI}/responses/input_tokens", {"input_tokens": 16}),
        (f"{GEMINI}:countTokens", {"totalTokens": 61}),
        (f"{BEDROCK}/anthropic.claude-sonnet-4-20250514-v1%3A0/count-tokens", {"inputTokens": 19}),
        (f"{VERTEX}/anthropic/models/count-tokens:rawPredict", {"input_tokens": 5}),
        ("https://api.cohere.com/v1/tokenize", {"tokens": [1, 2]}),
    ],
)
def test_counting_tokens_uses_none_and_costs_a_known_nothing(url, answer):
    seen = read(url, answer, asked={"model": "a model without a price"})
    assert (counts(seen), seen.cost_usd) == ((0, 0), 0)
    assert seen.api.endswith(".count_tokens")


def test_watsonx_counts_the_prompt_in_its_first_event_and_the_text_up_to_each():
    url = "https://us-south.ml.cloud.ibm.com/ml/v1/text/generation_stream?version=2024-02-15"
    counted = [(8, 0, "not_finished"), (0, 1, "not_finished"), (0, 11, "eos_token")]
    names = ("input_token_count", "generated_token_count", "stop_reason")
    results = [{"generated_text": "a", **dict(zip(names, each, strict=True))} for each in counted]
    body = sse(*({"model_id": "google/flan-ul2", "results": [each]} for each in results))
    seen = read(url, body, asked={"model_id": "google/flan-ul2", "input": "?"})
    assert (seen.provider, seen.api, counts(seen)) == ("watsonx", "watsonx.generate", (8, 11))
    assert (seen.model_requested, seen.model_responded) == ("google/flan-ul2", "google/flan-ul2")
    whole = {"model_id": "google/flan-ul2", "results": [{**results[2], "input_token_count": 8}]}
    assert counts(read(url.replace("_stream", ""), whole)) == (8, 11)
    older = "https://us-south.ml.cloud.ibm.com/ml/v1-beta/generation/text_stream?version=2024-02-15"
    assert counts(read(older, body)) == (8, 11)
    chat = {"model_id": "ibm/granite-3-8b-instruct", "choices": [], "usage": USED}
    assert counts(read("https://us-south.ml.cloud.ibm.com/ml/v1/text/chat?version=1", chat)) == (3, 4)
    embedded = {"model_id": "ibm/slate", "results": [{"embedding": [0.1]}], "input_token_count": 9}
    assert counts(read("https://us-south.ml.cloud.ibm.com/ml/v1/text/embeddings?version=1", embedded)) == (9, 0)
    deployed = "https://us-south.ml.cloud.ibm.com/ml/v1/deployments/mine/text/generation?version=1"
    assert read(deployed, whole, asked={"input": "?"}).model_requested == "mine"
    assert counts(read(deployed, {"model_id": "m", "results": [{"generated_text": "a"}]})) is None


def test_anthropic_on_vertex_and_vertexs_own_embeddings():
    usage = {"input_tokens": 1000, "cache_read_input_tokens": 1000, "output_tokens": 0}
    seen = read(f"{VERTEX}/anthropic/models/claude-haiku-4-5@20251001:rawPredict", {"usage": usage})
    assert (seen.api, counts(seen), seen.model_requested) == (
        "vertex.anthropic",
        (2000, 0),
        "claude-haiku-4-5@20251001",
    )
    predicted = {"predictions": [{"embeddings": {"statistics": {"token_count": n}}} for n in (4, 6)]}
    assert counts(read(f"{VERTEX}/google/models/text-embedding-005:predict", predicted)) == (10, 0)
    assert read(f"{VERTEX}/google/models/imagen-4:predict", {"predictions": []}).api == "gemini.media"
