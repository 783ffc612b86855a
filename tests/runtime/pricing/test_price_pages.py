"""Calls priced by hand from the providers' price pages: the catalogue and our arithmetic agree to the last digit.

Each row: how many of which bucket, times the page's price for a million (a thousand searches), added up on paper.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from llmmetrics.pricing import price
from llmmetrics.pricing.catalogue import Catalogue
from llmmetrics.wire import usage
from llmmetrics.wire.format import Charge

AT = datetime(2026, 8, 22, 12, 0, tzinfo=UTC)

# where the prices stand, where the calls go, and what some of them cost
SHEETS = {
    ("https://platform.openai.com/docs/pricing", "https://api.openai.com/v1/chat/completions"): [
        ("gpt-4o", {"input": 1000, "output": 500}, "0.0075"),
        ("gpt-4o", {"input": 200, "cache_read": 1800, "output": 100}, "0.00375"),
        ("gpt-4o", {"input": 100, "output": 100, "web_search": 2}, "0.02125"),
        ("gpt-4o", {"input": 100, "output": 100, "file_search": 4}, "0.01125"),
        ("gpt-4o-mini", {"input": 10_000, "output": 1000}, "0.0021"),
        ("gpt-4o-mini", {"input": 1, "cache_read": 4000, "output": 1}, "0.00030075"),
        ("gpt-4.1", {"input": 123, "output": 456}, "0.003894"),
        ("gpt-4.1-mini", {"input": 5000, "cache_read": 5000, "output": 250}, "0.0029"),
        ("gpt-5", {"input": 800, "output": 200, "reasoning": 3000}, "0.033"),
        ("gpt-5-mini", {"input": 40, "cache_read": 1280, "output": 10, "reasoning": 64}, "0.00019"),
        ("o3", {"input": 1000, "output": 500, "reasoning": 2000}, "0.022"),
        ("o4-mini", {"input": 700, "output": 300, "reasoning": 900}, "0.00605"),
        ("gpt-audio", {"input": 50, "input_audio": 1000, "output": 20, "output_audio": 400}, "0.057925"),
        (
            "gpt-realtime",
            {"input": 100, "cache_read": 100, "input_audio": 500, "cache_read_audio": 500, "output_audio": 300},
            "0.03584",
        ),
        ("gpt-realtime", {"input_image": 765, "output": 50}, "0.004625"),
        ("gpt-realtime", {"input": 10, "cache_read_image": 1000, "output": 10}, "0.0007"),
        # dearer from 272,001 tokens of input on, cached ones included: all of them, and the output too
        ("gpt-5.4", {"input": 272_000, "output": 1000}, "0.695"),
        ("gpt-5.4", {"input": 272_001, "output": 1000}, "1.382505"),
        ("gpt-5.4", {"input": 100_000, "cache_read": 200_000, "output": 2000}, "0.645"),
        ("text-embedding-3-small", {"input": 1_000_000}, "0.02"),
        ("text-embedding-3-large", {"input": 2500}, "0.000325"),
        ("gpt-image-1.5", {"input": 100, "input_image": 1000, "output_image": 4160}, "0.14162"),
        ("whisper-1", {"audio_ms": 90_000}, "0.009"),
        ("tts-1", {"character": 1234}, "0.01851"),
    ],
    ("https://docs.anthropic.com/en/docs/about-claude/pricing", "https://api.anthropic.com/v1/messages"): [
        ("claude-opus-4-5", {"input": 1000, "output": 1000}, "0.03"),
        ("claude-opus-4-5", {"input": 10, "cache_write": 2000, "output": 100}, "0.01505"),
        ("claude-opus-4-5", {"input": 10, "cache_write_1h": 2000, "output": 100}, "0.02255"),
        ("claude-opus-4-5", {"input": 7, "cache_read": 50_000, "output": 3}, "0.02511"),
        ("claude-sonnet-4-5", {"input": 200_000, "output": 1000}, "0.615"),
        ("claude-sonnet-4-5", {"input": 200_001, "output": 1000}, "1.222506"),
        ("claude-sonnet-4-5", {"input": 1, "cache_read": 200_000, "output": 10}, "0.120231"),
        (
            "claude-sonnet-4-5",
            {"input": 1000, "cache_read": 1000, "cache_write": 1000, "cache_write_1h": 1000, "output": 1000},
            "0.02805",
        ),
        ("claude-haiku-4-5", {"input": 500, "output": 50, "reasoning": 450, "web_search": 1}, "0.013"),
        ("claude-opus-4-1", {"input": 100, "cache_read": 1000, "output": 10}, "0.00375"),
        ("claude-3-haiku-20240307", {"input": 400, "output": 80}, "0.0002"),
    ],
    (
        "https://ai.google.dev/gemini-api/docs/pricing",
        "https://generativelanguage.googleapis.com/v1beta/models/any:generateContent",
    ): [
        ("gemini-2.5-pro", {"input": 200_000, "output": 100, "reasoning": 900}, "0.26"),
        ("gemini-2.5-pro", {"input": 200_001, "output": 100, "reasoning": 900}, "0.5150025"),
        ("gemini-2.5-pro", {"input": 50_000, "cache_read": 200_000, "output": 1000}, "0.19"),
        ("gemini-2.5-pro", {"input": 1000, "output": 100, "web_search": 1}, "0.03725"),
        ("gemini-2.5-flash", {"input": 258, "output": 20, "reasoning": 180}, "0.0005774"),
        ("gemini-2.5-flash", {"input": 100, "input_audio": 3200, "output": 40}, "0.00333"),
        ("gemini-2.5-flash", {"cache_read": 10_000, "cache_read_audio": 1000, "output": 4}, "0.00041"),
        # images and videos cost what text does
        (
            "gemini-2.5-flash-lite",
            {"input": 10_000, "input_image": 258, "input_video": 2580, "output": 100},
            "0.0013238",
        ),
        ("gemini-2.5-flash-lite", {"cache_read": 1000, "cache_read_video": 2000, "output": 10}, "0.000034"),
        ("gemini-2.0-flash", {"input_audio": 1000, "cache_read_audio": 1000, "output": 1000}, "0.001275"),
        ("gemini-2.5-flash-image", {"input": 30, "output_image": 1290}, "0.038709"),
        ("gemini-omni-1.1-flash", {"input": 100, "output": 10, "output_video": 1000}, "0.01774"),
        (
            "gemini-live-2.5-flash-preview",
            {"input_audio": 1000, "input_image": 100, "input_video": 100, "output_audio": 1000},
            "0.0156",
        ),
        ("gemini-embedding-001", {"input": 8}, "0.0000012"),
    ],
    ("https://cohere.com/pricing", "https://api.cohere.com/v2/chat"): [
        ("command-a-03-2025", {"input": 1019, "output": 75}, "0.0032975"),
        ("embed-v4.0", {"input": 10_000}, "0.0012"),
    ],
    (
        "https://aws.amazon.com/bedrock/pricing",
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/any/converse",
    ): [
        ("amazon.nova-micro-v1:0", {"input": 1000, "cache_read": 1000, "output": 1000}, "0.00018375"),
        (
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            {"input": 1000, "cache_read": 1000, "cache_write": 1000, "cache_write_1h": 1000, "output": 1000},
            "0.030855",
        ),
        ("meta.llama3-70b-instruct-v1:0", {"input": 8, "output": 35}, "0.0001437"),
        ("anthropic.claude-v2", {"input": 37, "output": 8}, "0.000488"),
    ],
    ("https://groq.com/pricing", "https://api.groq.com/openai/v1/chat/completions"): [
        ("llama-3.3-70b-versatile", {"input": 100, "output": 900}, "0.00077"),
    ],
    ("https://mistral.ai/pricing", "https://api.mistral.ai/v1/chat/completions"): [
        ("mistral-large-2512", {"input": 2000, "cache_read": 1000, "output": 400}, "0.00165"),
        ("mistral-ocr-2505", {"page": 30}, "0.03"),
        ("mistral-ocr-2505", {"annotated_page": 30}, "0.09"),
    ],
    ("https://docs.x.ai/docs/models", "https://api.x.ai/v1/chat/completions"): [
        ("grok-4", {"input": 100, "cache_read": 400, "output": 20, "reasoning": 80}, "0.0021"),
    ],
    ("https://docs.voyageai.com/docs/pricing", "https://api.voyageai.com/v1/embeddings"): [
        ("voyage-3.5", {"input": 12}, "0.00000072"),
    ],
}
# service tiers: where the price of the tier stands, where the calls go, in which tier, and what some of them cost
LATER = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TIERS = {
    ("https://openai.com/api-priority-processing/", "https://api.openai.com/v1/responses", "priority"): [
        ("gpt-5", {"input": 1000, "cache_read": 1000, "output": 100}, "0.00475"),
        ("gpt-5-mini", {"input": 2000, "output": 500, "reasoning": 500}, "0.0045"),
        ("gpt-4.1", {"input": 123, "cache_read": 400, "output": 456}, "0.0071645"),
        ("gpt-5.4", {"input": 1000, "output": 1000}, "0.035"),
    ],
    ("https://platform.openai.com/docs/guides/flex-processing", "https://api.openai.com/v1/responses", "flex"): [
        ("gpt-5", {"input": 1000, "cache_read": 1000, "output": 100}, "0.0011875"),
        ("o3", {"input": 1000, "output": 500, "reasoning": 2000}, "0.011"),
        ("gpt-5.4", {"input": 272_001, "output": 1000}, "0.6912525"),
    ],
    (
        "https://platform.claude.com/docs/en/about-claude/pricing#batch-processing",
        "https://api.anthropic.com/v1/messages",
        "batch",
    ): [
        ("claude-opus-4-5", {"input": 1000, "output": 1000, "web_search": 1}, "0.025"),
        (
            "claude-haiku-4-5",
            {"input": 1000, "cache_read": 1000, "cache_write": 1000, "cache_write_1h": 1000, "output": 1000},
            "0.004675",
        ),
    ],
    (
        "https://platform.claude.com/docs/en/about-claude/pricing#fast-mode-pricing",
        "https://api.anthropic.com/v1/messages",
        "fast",
    ): [
        ("claude-opus-5", {"input": 1000, "cache_write_1h": 1000, "output": 100}, "0.035"),
    ],
    (
        "https://console.groq.com/docs/flex-processing",
        "https://api.groq.com/openai/v1/chat/completions",
        "flex",
    ): [
        ("llama-3.3-70b-versatile", {"input": 100, "output": 900}, "0.00077"),
    ],
}
ROWS = [(url, None, *row) for (_, url), rows in SHEETS.items() for row in rows]
ROWS += [(url, tier, *row) for (_, url, tier), rows in TIERS.items() for row in rows]
CATALOGUE = Catalogue()


@pytest.mark.parametrize(("url", "tier", "model", "buckets", "expected"), ROWS)
def test_a_call_costs_what_the_page_says(url, tier, model, buckets, expected):
    charge = Charge(None, usage.usage_of(buckets))
    moment = LATER if tier else AT
    cost = price.cost_of([charge], lambda _: CATALOGUE.first([model], url, None, lambda: moment, tier))
    assert cost is not None
    assert price.dollars(cost) == Decimal(expected)


NO_PRICE = {"tool_use", "image", "video_second"}
"""Which tool it was, no count says: only users' own prices have it. Of `pieces` see test_pieces.py."""


def test_every_bucket_is_on_the_sheet():
    assert len(ROWS) >= 50
    assert {name for row in ROWS for name in row[3]} == usage.PROMPT | usage.COMPLETION | usage.FEES - NO_PRICE
