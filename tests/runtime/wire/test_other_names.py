"""The same counts under other names and in other places, as compatible hosts and gateways write them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from support.provider_answers import counts, read, sse

LITELLM = "http://litellm:4000/v1/chat/completions"
MOONSHOT = "https://api.moonshot.ai/v1/chat/completions"
CLAUDE = "https://gw.example/v1/messages"
PLAIN = {"prompt_tokens": 3000, "completion_tokens": 10, "total_tokens": 3010}
WRITTEN = {"input": 500, "cache_read": 500, "cache_write": 2000, "output": 10}
FOR_AN_HOUR = {"input": 500, "cache_read": 500, "cache_write": 500, "cache_write_1h": 1500, "output": 10}


def details(**named):
    return {"prompt_tokens_details": named}


@pytest.mark.parametrize(
    ("names", "buckets"),
    [
        # https://docs.litellm.ai/docs/completion/prompt_caching
        (details(cached_tokens=500, cache_creation_tokens=2000), WRITTEN),
        (
            details(
                cached_tokens=500,
                cache_creation_tokens=2000,
                cache_creation_token_details={"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 1500},
            ),
            FOR_AN_HOUR,
        ),
        # its streams, and https://docs.databricks.com/aws/en/machine-learning/foundation-model-apis/api-reference
        ({"cache_read_input_tokens": 500, "cache_creation_input_tokens": 2000}, WRITTEN),
        # https://help.aliyun.com/zh/model-studio/context-cache
        (details(cached_tokens=500, cache_creation_input_tokens=2000, cache_type="ephemeral"), WRITTEN),
        (
            details(
                cached_tokens=500,
                cache_creation_input_tokens=2000,
                cache_creation={"ephemeral_1h_input_tokens": 1500},
            ),
            FOR_AN_HOUR,
        ),
        # https://docs.together.ai/reference/chat-completions
        ({"cached_tokens": 500, "created_cache_tokens": 2000}, WRITTEN),
        (details(cached_tokens=500, cache_write_tokens=2000), WRITTEN),
        (details(cached_tokens=500), {"input": 2500, "cache_read": 500, "output": 10}),
        ({"cache_read_input_tokens": None, "prompt_tokens_details": None}, {"input": 3000, "output": 10}),
    ],
)
def test_reads_from_and_writes_to_a_cache(names, buckets):
    whole = {"model": "claude-sonnet-4-5", "choices": [], "usage": {**PLAIN, **names}}
    for answer in (whole, sse({"choices": [{}]}, whole)):
        seen = read(LITELLM, answer)
        assert (counts(seen), dict(seen.usage.buckets)) == ((3000, 10), buckets)


@pytest.mark.parametrize(
    "last",
    [
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": {**PLAIN, "cached_tokens": 1800}}]},
        {"choices": [{"index": 0}, {"index": 1, "usage": {**PLAIN, "cached_tokens": 1800}}], "usage": None},
        {"choices": [], "usage": {**PLAIN, "cached_tokens": 1800}},
    ],
)
def test_moonshots_usage_is_in_the_choice(last):
    for answer in (sse({"model": "kimi-k2.5", "choices": [{"delta": {"content": "hi"}}]}, last), last):
        seen = read(MOONSHOT, answer)
        assert (counts(seen), seen.usage.cache_read) == ((3000, 10), 1800)


@pytest.mark.parametrize(
    ("more", "buckets"),
    [
        ({"image_tokens": 1290, "text_tokens": 0}, {"output_image": 1290}),
        ({"image_tokens": 1200}, {"output": 90, "output_image": 1200}),
        ({"image_tokens": 1000, "reasoning_tokens": 290}, {"reasoning": 290, "output_image": 1000}),
        ({"image_tokens": None}, {"output": 1290}),
        ({"image_tokens": 9999}, {"output": 1290}),
    ],
)
def test_tokens_of_images_out_have_a_price_of_their_own(more, buckets):
    usage = {"prompt_tokens": 10, "completion_tokens": 1290, "completion_tokens_details": more}
    seen = read(LITELLM, {"model": "gemini-2.5-flash-image", "choices": [], "usage": usage})
    assert dict(seen.usage.buckets) == {"input": 10, **buckets}


@pytest.mark.parametrize(
    ("url", "usage", "expected", "bucket"),
    [
        ("embed", {"meta": {"billed_units": {"input_tokens": 5, "image_tokens": 100_000}}}, (100_005, 0), 100_000),
        ("embed", {"meta": {"billed_units": {"image_tokens": 70}}}, (70, 0), 70),
        ("chat", {"usage": {"tokens": {"input_tokens": 9, "image_tokens": 70, "output_tokens": 3}}}, (79, 3), 70),
        ("chat", {"usage": {"tokens": {"input_tokens": 9, "output_tokens": 3}}}, (9, 3), 0),
    ],
)
def test_coheres_images_are_tokens(url, usage, expected, bucket):
    answers = [usage]
    if url == "chat":
        answers += [sse({"type": "message-end", "delta": usage})]
    for answer in answers:
        seen = read(f"https://api.cohere.com/v2/{url}", answer, asked={"model": "embed-v4.0"})
        assert (counts(seen), seen.usage.buckets.get("input_image", 0)) == (expected, bucket)


def test_cohere_bills_images_by_piece_or_by_token():
    def cost(**billed):
        return read(
            "https://api.cohere.com/v2/embed", {"meta": {"billed_units": billed}}, asked={"model": "embed-v4.0"}
        ).cost_usd

    assert cost(input_tokens=5, image_tokens=95, images=1) == Decimal("0.000012")
    assert cost(input_tokens=5, images=1) is None


@pytest.mark.parametrize(
    ("cached", "buckets"),
    [
        (400, {"input": 100, "cache_read": 400, "output": 10}),
        (None, {"input": 500, "output": 10}),
        (600, {"cache_read": 500, "output": 10}),
    ],
)
@pytest.mark.parametrize("path", ["chat", "generate"])
def test_ollamas_cached_prompt_is_a_part_of_it(path, cached, buckets):
    answer = {
        "done": True,
        "prompt_eval_count": 500,
        "eval_count": 10,
        **({} if cached is None else {"prompt_eval_cached_count": cached}),
    }
    assert dict(read(f"http://localhost:11434/api/{path}", answer).usage.buckets) == buckets


START = {"input_tokens": 500, "cache_read_input_tokens": 30, "output_tokens": 0}


@pytest.mark.parametrize(
    ("last", "prompt"),
    [
        ({"input_tokens": 0, "output_tokens": 42}, 530),
        ({"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 42}, 530),
        ({"output_tokens": 42}, 530),
        ({"input_tokens": 700, "output_tokens": 42}, 730),
        # a count that moved from one place to the other is believed
        ({"input_tokens": 0, "cache_read_input_tokens": 530, "output_tokens": 42}, 530),
    ],
)
def test_a_zero_at_the_end_does_not_wipe_the_start(last, prompt):
    start = {"type": "message_start", "message": {"model": "glm-5", "usage": START}}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": last}
    assert counts(read(CLAUDE, sse(start, end, {"type": "message_stop"}))) == (prompt, 42)


@pytest.mark.parametrize(
    ("said", "cost"),
    [("0.0137", "0.0137"), ("1.37e-05", "0.0000137"), *((each, None) for each in ("0.0", "None", "", "-1", "NaN"))],
)
def test_a_gateway_may_say_the_cost_in_a_header(said, cost):
    body = {"model": "my-alias", "choices": [], "usage": PLAIN}
    seen = read(LITELLM, body, headers=[("X-LiteLLM-Response-Cost", said)])
    assert seen.cost_usd == (cost and Decimal(cost))


def test_the_bodys_own_cost_comes_before_the_headers():
    body = {"model": "my-alias", "choices": [], "usage": {**PLAIN, "cost": 0.5}}
    assert read(LITELLM, body, headers=[("x-litellm-response-cost", "0.0137")]).cost_usd == Decimal("0.5")


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("aiplatform.eu.rep.googleapis.com", "google-vertex"),
        ("aiplatform.us.rep.googleapis.com", "google-vertex"),
        ("us-central1-aiplatform.mtls.googleapis.com", "google-vertex"),
        ("us-central1-aiplatform.googleapis.com", "google-vertex"),
        ("aws-external-anthropic.us-west-2.api.aws", "anthropic"),
        ("claude.googleapis.com", "anthropic"),
        ("aiplatform.eu.rep.googleapis.com.example", "anthropic-compatible"),
    ],
)
def test_hosts_that_sdks_make_of_a_location(host, provider):
    answer = {"model": "claude-opus-4-5", "usage": {"input_tokens": 10, "output_tokens": 1}}
    seen = read(f"https://{host}/v1/messages", answer)
    assert (seen.provider, seen.cost_usd) == (provider, Decimal("0.000075"))


@pytest.mark.parametrize(
    ("url", "model", "known"),
    [
        (
            "https://us-central1-aiplatform.googleapis.com/v1/projects/p/endpoints/openapi",
            "google/gemini-2.5-flash",
            True,
        ),
        ("https://aiplatform.eu.rep.googleapis.com/v1/projects/p/endpoints/openapi", "google/gemini-2.5-flash", True),
        ("https://generativelanguage.googleapis.com/v1beta/openai", "models/gemini-2.5-flash", True),
        (
            "https://us-central1-aiplatform.googleapis.com/v1/projects/p/endpoints/openapi",
            "google/no-such-model",
            False,
        ),
        ("https://api.groq.com/openai/v1", "google/gemini-2.5-flash", False),
    ],
)
def test_googles_names_with_the_maker_first(url, model, known):
    usage = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 530}
    seen = read(f"{url}/chat/completions", {"model": model, "choices": [], "usage": usage}, asked={"model": model})
    assert seen.cost_usd == (Decimal("0.001303") if known else None)
