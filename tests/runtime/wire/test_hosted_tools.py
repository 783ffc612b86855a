"""Fees on the wire: what tools used inside a call is priced, or makes its cost unknown, and is never left out."""

from __future__ import annotations

from decimal import Decimal

import pytest
from support.provider_answers import counts, read, sse

RESPONSES = "https://api.openai.com/v1/responses"
INTERACTIONS = "https://generativelanguage.googleapis.com/v1beta/interactions"
PERPLEXITY = "https://api.perplexity.ai/chat/completions"
LITELLM = "http://litellm:4000/v1/chat/completions"
USAGE = {"input_tokens": 1000, "output_tokens": 1000, "total_tokens": 2000}
TOKENS = Decimal("0.01125")
CENT = Decimal("0.01")
IMAGES = {
    "input_tokens": 300,
    "input_tokens_details": {"image_tokens": 200, "text_tokens": 100},
    "output_tokens": 4160,
    "total_tokens": 4460,
}


def response(used, model="gpt-5", **more):
    return {"id": "r", "object": "response", "model": model, "output": [], "usage": USAGE, "tool_usage": used, **more}


@pytest.mark.parametrize(
    ("tools", "fees"),
    [
        ({"web_search": {"num_requests": 3}}, 3 * CENT),
        ({"web_search": {"num_requests": 0}}, 0),
        ({"file_search": {"num_requests": 4}}, CENT),
        ({"web_search": {"num_requests": 1}, "file_search": {"num_requests": 4}}, 2 * CENT),
        ({"image_gen": {"input_tokens": 0, "output_tokens": 0}}, 0),
        ({"computer": {"seconds": 0, "unit": "s"}, "shell": None}, 0),
        (None, 0),
        ([], 0),
    ],
)
def test_openais_hosted_tools_cost_what_the_catalogue_says(tools, fees):
    seen = read(RESPONSES, response(tools))
    assert (counts(seen), seen.cost_usd) == ((1000, 1000), TOKENS + fees)


@pytest.mark.parametrize(
    ("tools", "model"),
    [
        ({"computer": {"num_requests": 1}}, "gpt-5"),
        ({"computer": {"seconds": 1.5}}, "gpt-5"),
        ({"code_interpreter": {"num_sessions": 1}}, "gpt-5"),
        ({"web_search": {"num_requests": 1}}, "gpt-4"),
        ({"image_gen": IMAGES}, "gpt-5"),
    ],
)
def test_what_has_no_price_makes_the_cost_unknown(tools, model):
    assert read(RESPONSES, response(tools, model)).cost_usd is None


def test_a_streams_last_event_says_it_as_well():
    done = {"type": "response.completed", "response": response({"web_search": {"num_requests": 2}})}
    seen = read(RESPONSES, sse({"type": "response.created", "response": {"model": "gpt-5"}}, done))
    assert seen.cost_usd == TOKENS + 2 * CENT


def test_images_generated_inside_a_response_are_another_models_tokens():
    drawing = [{"type": "web_search"}, {"type": "image_generation", "model": "gpt-image-1"}]
    seen = read(RESPONSES, response({"image_gen": IMAGES}, tools=drawing))
    assert counts(seen) == (1300, 5160)
    # 100 words at $5, 200 of pictures at $10, 4,160 of pictures out at $40 a million
    assert seen.cost_usd == TOKENS + Decimal("0.0005") + Decimal("0.002") + Decimal("0.1664")


def test_a_count_of_searches_that_cannot_be_is_no_count():
    seen = read(RESPONSES, response({"web_search": {"num_requests": -1}}))
    assert (seen.usage, seen.cost_usd) == (None, None)


@pytest.mark.parametrize(
    ("grounding", "cost"),
    [
        ([{"type": "google_search", "count": 3}], "0.04235"),
        ([{"type": "google_search", "count": 1}, {"type": "google_search", "count": 2}], "0.04235"),
        ([{"type": "google_maps", "count": 1}], None),
        ([{"type": "retrieval", "count": 1}], None),
        ([{"type": "google_maps", "count": 0}], "0.00035"),
        ([{"type": "google_search"}], "0.00035"),
        (None, "0.00035"),
    ],
)
def test_gemini_interactions_count_what_grounded_them(grounding, cost):
    usage = {"total_input_tokens": 100, "total_output_tokens": 100, "grounding_tool_count": grounding}
    whole = {"model": "gemini-3-flash-preview", "usage": usage, "status": "completed"}
    streamed = sse({"event_type": "interaction.complete", "interaction": whole})
    for answer in (whole, streamed):
        seen = read(INTERACTIONS, answer)
        assert counts(seen) == (100, 100)
        assert seen.cost_usd == (cost and Decimal(cost))


@pytest.mark.parametrize("model", ["sonar", "sonar-pro", "sonar-reasoning-pro"])
@pytest.mark.parametrize("size", [{}, {"search_context_size": "low"}])
def test_perplexitys_fee_for_a_request_is_unknown_without_its_own_word(model, size):
    usage = {"prompt_tokens": 10, "completion_tokens": 10, **size}
    assert read(PERPLEXITY, {"model": model, "usage": usage}).cost_usd is None
    told = {**usage, "cost": {"total_cost": 0.005}}
    assert read(PERPLEXITY, {"model": model, "usage": told}).cost_usd == Decimal("0.005")


@pytest.mark.parametrize(
    ("model", "usage", "fees"),
    [
        ("claude-sonnet-4-5", {"server_tool_use": {"web_search_requests": 2}}, 2 * CENT),
        ("gemini-2.5-flash", {"prompt_tokens_details": {"web_search_requests": 1}}, Decimal("0.035")),
        ("claude-sonnet-4-5", {"server_tool_use": None}, 0),
        ("sonar-deep-research", {"num_search_queries": 18}, Decimal("0.09")),
        ("sonar-deep-research", {"num_search_queries": 1, "citation_tokens": 500}, None),
        ("grok-4", {"num_sources_used": 3}, None),
        ("grok-4", {"server_side_tool_usage_details": {"x_search_calls": 1, "mcp_calls": 1}}, None),
        ("grok-4", {"server_side_tool_usage_details": {"x_search_calls": 0, "mcp_calls": 1}}, 0),
    ],
)
def test_compatible_hosts_count_what_they_bill_by_piece(model, usage, fees):
    plain = {"prompt_tokens": 10, "completion_tokens": 10}
    url = PERPLEXITY if "sonar" in model else LITELLM
    without = read(url, {"model": model, "usage": plain}).cost_usd
    seen = read(url, {"model": model, "usage": {**plain, **usage}})
    assert counts(seen) == (10, 10)
    assert seen.cost_usd == (None if fees is None else without + fees)
