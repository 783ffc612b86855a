"""What a region adds to the price: by the host, the path, and the region that an answer names."""

from __future__ import annotations

from decimal import Decimal

import pytest
from support.budget_setup import Setup
from support.provider_answers import read

CLAUDE = {"usage": {"input_tokens": 1_000_000, "output_tokens": 0}}
OPENAI = {"usage": {"prompt_tokens": 1_000_000, "completion_tokens": 0}}
VERTEX = "https://{host}aiplatform.googleapis.com/v1/projects/p/locations/{place}/publishers/anthropic/models/{model}:rawPredict"
# of OpenAI, Mistral and Together: the host without a surcharge, a region's, and what it adds
HOSTS = [
    ("https://api.openai.com/v1", "https://eu.api.openai.com/v1", "gpt-5.6-terra", "1.1"),
    ("https://api.openai.com/v1", "https://us.api.openai.com/v1", "gpt-6-luna", "1.1"),
    ("https://api.openai.com/v1", "https://eu.api.openai.com/v1", "gpt-4o", "1"),
    ("https://api.openai.com/v1", "https://jp.api.openai.com/v1", "gpt-5-mini", "1"),
    ("https://api.openai.com/v1", "https://eu.api.openai.com/v1", "gpt-5.2", "1"),
    ("https://api.mistral.ai/v1", "https://api.eu.mistral.ai/v1", "mistral-large-2512", "1.1"),
    ("https://api.mistral.ai/v1", "https://api.us.mistral.ai/v1", "codestral-latest", "1.1"),
    ("https://api.together.ai/v1", "https://us-api.together.ai/v1", "zai-org/GLM-5.3", "1.25"),
    ("https://api.together.xyz/v1", "https://ca-api.together.ai/v1", "zai-org/GLM-5.3", "1.25"),
]


@pytest.mark.parametrize(("world", "region", "model", "factor"), HOSTS)
def test_a_host_of_a_region(world, region, model, factor):
    asked = {"model": model, "messages": []}
    costs = [read(f"{base}/chat/completions", OPENAI, asked=asked).cost_usd for base in (world, region)]
    assert costs[0] > 0
    assert costs[1] == costs[0] * Decimal(factor)


@pytest.mark.parametrize(
    ("place", "model", "usd"),
    [
        ("global", "claude-sonnet-4-5@20250929", "6"),
        ("us-east5", "claude-sonnet-4-5@20250929", "6.6"),
        ("europe-west1", "claude-haiku-4-5@20251001", "1.1"),
        ("eu", "claude-opus-4-5@20251101", "5.5"),
        # older than the global endpoint
        ("us-east5", "claude-sonnet-4@20250514", "3"),
        ("us-east5", "claude-3-5-haiku@20241022", "0.8"),
    ],
)
def test_a_location_of_vertex(place, model, usd):
    host = {"global": "", "eu": ""}.get(place, f"{place}-")
    assert read(VERTEX.format(host=host, place=place, model=model), CLAUDE).cost_usd == Decimal(usd)


@pytest.mark.parametrize(
    ("geo", "usd"),
    [("us", "5.51"), ("global", "5.01"), ("not_available", "5.01"), (None, "5.01"), ("<REGION>", "5.01"), ("eu", None)],
)
def test_the_region_that_anthropic_names(geo, usd):
    """Tokens cost more, searches do not; what no page prices is unknown, never less."""
    used = {**CLAUDE["usage"], "inference_geo": geo, "server_tool_use": {"web_search_requests": 1}}
    seen = read("https://api.anthropic.com/v1/messages", {"model": "claude-opus-4-6", "usage": used})
    assert seen.cost_usd == (usd and Decimal(usd))


@pytest.fixture
def made():
    setups = []

    def setup(*args, **options):
        setups.append(Setup(*args, **options))
        return setups[-1]

    yield setup
    for each in setups:
        each.meter.close()


WORST = [({"inference_geo": "global"}, "5"), ({"inference_geo": "us"}, "5.5"), ({}, "5.5")]


@pytest.mark.parametrize(("asked", "usd"), WORST, ids=repr)
def test_a_strict_budget_reserves_for_the_dearest_region(made, asked, usd):
    """A workspace may have a default that the request does not name."""
    url = "https://api.anthropic.com/v1/messages"
    body = {"model": "claude-opus-4-6", "max_tokens": 200_000, "messages": [], **asked}
    one = {"Type": "Anthropic", "BaseUrl": "https://api.anthropic.com", "ModelName": None}
    prices = {"CostPerMillionInputTokens": None, "CostPerMillionOutputTokens": None}
    # of the prompt a byte is a token at most: 5 dollars of output and some cents
    setup = made(usd, backend={**one, **prices}, Mode="strict")
    refused = setup.client.post(url, json=body, headers={"user-agent": "anthropic/python"})
    assert refused.status_code == 402
    dearer = made(str(Decimal(usd) + Decimal("0.01")), backend={**one, **prices}, Mode="strict")
    assert dearer.client.post(url, json=body).status_code == 200
