"""Whole answers priced by hand: what the wire says it cost, passes, tiers and fees, as they stand in a body.

Each row names the page that its prices or its fields are from; the amount was added up on paper.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from llmmetrics import read_exchange

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
OPENAI = "https://api.openai.com/v1/chat/completions"
ANTHROPIC = "https://api.anthropic.com/v1/messages"
GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent"
VERTEX = (
    "https://europe-west1-aiplatform.googleapis.com/v1/projects/p/locations/europe-west1/publishers/google/models/"
    "gemini-2.5-flash:generateContent"
)
OPENROUTER = "https://openrouter.ai/api/v1/chat/completions"
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.amazon.nova-micro-v1%3A0/"
CHAT = {"prompt_tokens": 1000, "completion_tokens": 100}
TOLD = "told by the wire"


def chat(model, usage=CHAT, **more):
    return {"model": model, "usage": usage, **more}


def claude(model, **usage):
    return {"model": model, "usage": {"input_tokens": 1000, "output_tokens": 100, **usage}}


ROWS = [
    # https://openrouter.ai/docs/use-cases/usage-accounting
    (OPENROUTER, chat("openai/gpt-4o-mini", {**CHAT, "cost": 0.000195}), "0.000195"),
    (
        OPENROUTER,
        chat(
            "openai/gpt-4o-mini",
            {**CHAT, "cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.0019}},
        ),
        "0.0019",
    ),
    # 0 for billable tokens is no price: 1000 x $0.15/M + 100 x $0.60/M, https://openrouter.ai/openai/gpt-4o-mini
    (OPENROUTER, chat("openai/gpt-4o-mini", {**CHAT, "cost": 0}), "0.00021"),
    # the wire's own cost is that of its tier
    (OPENROUTER, chat("google/gemini-2.5-flash", {**CHAT, "cost": 0.0001}, service_tier="provisioned"), "0.0001"),
    # https://docs.x.ai/docs/key-information/consumption-and-rate-limits: ten billion ticks a dollar
    ("https://api.x.ai/v1/chat/completions", chat("grok-4", {**CHAT, "cost_in_usd_ticks": 37_756_000}), "0.0037756"),
    # https://docs.perplexity.ai/api-reference/chat-completions-post
    (
        "https://api.perplexity.ai/chat/completions",
        chat("sonar", {**CHAT, "cost": {"request_cost": 0.005, "total_cost": 0.0061}}),
        "0.0061",
    ),
    # each pass with its own model, https://platform.claude.com/docs/en/about-claude/pricing: Haiku 4.5 10,000 x $1/M +
    # 100 x $5/M, Opus 4.5 1000 x $5/M + 200 x $25/M, a web search $0.01
    (
        ANTHROPIC,
        claude(
            "claude-opus-4-5",
            server_tool_use={"web_search_requests": 1},
            iterations=[
                {"model": "claude-haiku-4-5", "input_tokens": 10_000, "output_tokens": 100},
                {"input_tokens": 1000, "output_tokens": 200},
            ],
        ),
        "0.0305",
    ),
    # the same page, Sonnet 4.6: 1000 x $3/M, 2000 x $3.75/M, 500 x $6/M, 100 x $15/M
    (
        ANTHROPIC,
        claude(
            "claude-sonnet-4-6",
            cache_creation_input_tokens=2500,
            cache_creation={"ephemeral_5m_input_tokens": 2000, "ephemeral_1h_input_tokens": 500},
        ),
        "0.015",
    ),
    (ANTHROPIC, claude("claude-haiku-4-5", service_tier="standard", speed="standard"), "0.0015"),
    # batches cost half: https://platform.claude.com/docs/en/about-claude/pricing#batch-processing
    (ANTHROPIC, claude("claude-haiku-4-5", service_tier="batch"), "0.00075"),
    # fast mode, $10/M and $50/M: https://platform.claude.com/docs/en/about-claude/pricing#fast-mode-pricing
    (ANTHROPIC, claude("claude-opus-5", service_tier="standard", speed="fast"), "0.015"),
    # paid by commitment: https://docs.anthropic.com/en/api/service-tiers
    (ANTHROPIC, claude("claude-haiku-4-5", service_tier="priority"), None),
    # https://platform.openai.com/docs/pricing: 1000 x $1.25/M + 100 x $10/M
    (OPENAI, chat("gpt-5", service_tier="default"), "0.00225"),
    (OPENAI, chat("gpt-5", service_tier="auto"), "0.00225"),
    # https://openai.com/api-priority-processing/: $2.50/M, $20/M
    (OPENAI, chat("gpt-5", service_tier="priority"), "0.0045"),
    # https://platform.openai.com/docs/guides/flex-processing: half
    (OPENAI, chat("gpt-5", service_tier="flex"), "0.001125"),
    # no page has a price for these
    (OPENAI, chat("gpt-5", service_tier="scale"), None),
    (OPENAI, chat("gpt-4o", service_tier="flex"), None),
    (OPENAI, chat("gpt-5", service_tier={"type": "flex"}), "0.00225"),
    (
        "https://mine.openai.azure.com/openai/deployments/d/chat/completions",
        chat("gpt-5", service_tier="priority"),
        None,
    ),
    # https://platform.openai.com/docs/pricing: 2500 x $0.02/M
    (
        "https://api.openai.com/v1/embeddings",
        chat("text-embedding-3-small", {"prompt_tokens": 2500, "total_tokens": 2500}),
        "0.00005",
    ),
    # https://ai.google.dev/gemini-api/docs/pricing: text $0.30/M, audio $1/M, output and thoughts $2.50/M
    (
        GEMINI,
        {
            "modelVersion": "gemini-2.5-flash",
            "usageMetadata": {
                "promptTokenCount": 3300,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 100},
                    {"modality": "AUDIO", "tokenCount": 3200},
                ],
                "candidatesTokenCount": 40,
                "thoughtsTokenCount": 60,
                "serviceTier": "standard",
            },
        },
        "0.00348",
    ),
    (VERTEX, {"usageMetadata": {"promptTokenCount": 1000, "trafficType": "ON_DEMAND"}}, "0.0003"),
    (VERTEX, {"usageMetadata": {"promptTokenCount": 1000, "trafficType": 1}}, "0.0003"),
    (VERTEX, {"usageMetadata": {"promptTokenCount": 1000, "trafficType": [1]}}, "0.0003"),
    # https://cloud.google.com/vertex-ai/generative-ai/docs/deploy/consumption-options: by commitment; premium; discounted
    (VERTEX, {"usageMetadata": {"promptTokenCount": 1000, "trafficType": "PROVISIONED_THROUGHPUT"}}, None),
    (VERTEX, {"usageMetadata": {"promptTokenCount": 1000, "trafficType": 2}}, None),
    (VERTEX, {"usageMetadata": {"promptTokenCount": 1000, "trafficType": "ON_DEMAND_PRIORITY"}}, None),
    # https://aws.amazon.com/bedrock/pricing: 1000 x $0.035/M; a discount or a premium that no page has in figures
    (BEDROCK + "converse", {"usage": {"inputTokens": 1000}, "serviceTier": {"type": "default"}}, "0.000035"),
    (BEDROCK + "converse", {"usage": {"inputTokens": 1000}, "serviceTier": {"type": "flex"}}, None),
    (BEDROCK + "converse", {"usage": {"inputTokens": 1000}, "performanceConfig": {"latency": "optimized"}}, None),
    (BEDROCK + "converse", {"usage": {"inputTokens": 1000}, "performanceConfig": {"latency": "standard"}}, "0.000035"),
]


def read(url, body, at=AT, headers=()):
    return read_exchange(
        method="POST",
        url=url,
        request_headers=[],
        request_body=b"{}",
        status=200,
        response_headers=list(headers),
        response_body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        at=at,
    )


@pytest.mark.parametrize(("url", "body", "expected"), ROWS)
def test_an_answer_costs_what_the_page_says(url, body, expected):
    seen = read(url, body)
    assert seen.usage is not None
    assert seen.cost_usd == (None if expected is None else Decimal(expected))


def test_a_tier_in_the_headers():
    """InvokeModel has the models' own bodies, and its tier outside them."""
    body, usage = BEDROCK + "invoke", {"usage": {"inputTokens": 1000}}
    assert read(body, usage, headers=[("X-Amzn-Bedrock-Service-Tier", "default")]).cost_usd == Decimal("0.000035")
    assert read(body, usage, headers=[("X-Amzn-Bedrock-Service-Tier", "priority")]).cost_usd is None
    assert read(body, usage, headers=[("X-Amzn-Bedrock-PerformanceConfig-Latency", "optimized")]).cost_usd is None


def stream(*events):
    return b"".join(b"data: %s\n\n" % json.dumps(each).encode() for each in events)


def test_a_tier_in_a_stream():
    chunk = {"model": "gpt-5", "service_tier": "priority", "choices": [{"delta": {"content": "Hello"}}]}
    body = stream(chunk, {**chunk, "choices": [], "usage": CHAT}) + b"data: [DONE]\n\n"
    assert read(OPENAI, body).cost_usd == Decimal("0.0045")
    # asked for as `auto`, decided when it is done
    done = {
        "response": {"model": "gpt-5", "service_tier": "flex", "usage": {"input_tokens": 1000, "output_tokens": 100}}
    }
    body = stream(
        {"type": "response.created", "response": {"model": "gpt-5", "service_tier": "auto", "usage": None}},
        {"type": "response.completed", **done},
    )
    assert read("https://api.openai.com/v1/responses", body).cost_usd == Decimal("0.001125")
    start = {"message": {"model": "claude-haiku-4-5", "usage": {"input_tokens": 1000, "service_tier": "priority"}}}
    body = stream(
        {"type": "message_start", **start},
        {"type": "message_delta", "usage": {"output_tokens": 100}},
        {"type": "message_stop"},
    )
    assert read(ANTHROPIC, body).cost_usd is None


def test_of_a_moment_before_the_catalogue_had_tiers_it_has_one_price():
    before = datetime(2026, 8, 22, tzinfo=UTC)
    assert read(OPENAI, chat("gpt-5", service_tier="priority"), before).cost_usd == Decimal("0.00225")


def test_what_is_no_tier_is_still_no_standard_one():
    assert read(OPENAI, chat("gpt-5", service_tier="x\n" * 99)).cost_usd is None
