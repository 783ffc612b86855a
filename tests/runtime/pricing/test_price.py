"""A call's arithmetic is exact; prices come from the settings or the catalogue, or are unknown."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmmetrics.pricing.catalogue import Catalogue, from_catalogue
from llmmetrics.pricing.price import attodollars, configured, cost_of, dollars
from llmmetrics.wire.format import Charge
from llmmetrics.wire.usage import COMPLETION, PROMPT, add, usage_of

CATALOGUE = Catalogue()
AT = datetime(2026, 8, 22, 12, 0, tzinfo=UTC)
BUCKETS = sorted(PROMPT | COMPLETION)


def usd(text: str) -> int:
    return attodollars(Decimal(text))


def price(model: str, url: str = "", provider: str | None = None, at: datetime = AT):
    return CATALOGUE.price(model, url, provider, lambda: at)


def test_a_configured_price_is_exact():
    own = configured({"input": Decimal("0.15"), "output": Decimal("0.60")})
    assert dollars(own.of(usage_of({"input": 120, "output": 8}))) == Decimal("0.0000228")


def test_a_cache_without_a_price_costs_what_fresh_input_does():
    own = configured({"input": Decimal(3), "output": Decimal(15)})
    assert own.of(usage_of({"cache_read": 5, "cache_write_1h": 5})) == own.of(usage_of({"input": 10}))


def test_configured_cache_prices():
    usd = {"input": "3", "output": "15", "cache_read": "0.3", "cache_write": "3.75"}
    own = configured({bucket: Decimal(amount) for bucket, amount in usd.items()})
    used = usage_of({"input": 100, "cache_read": 1000, "cache_write": 10, "output": 1})
    assert dollars(own.of(used)) == Decimal("0.0006525")


@given(st.dictionaries(st.sampled_from(BUCKETS), st.integers(0, 10**7)), st.decimals(0, 1000, places=12))
def test_money_adds_up(buckets, per_million):
    own = configured({"input": per_million, "output": per_million})
    parts = [usage_of({name: n}) for name, n in buckets.items()]
    whole = add(parts)
    assert whole.total == sum(buckets.values())
    assert own.of(whole) == sum(own.of(part) for part in parts)
    assert own.of(whole) == usd("0.000001") * whole.total * int(per_million * 10**12) // 10**12


def test_the_catalogue_knows_models_by_url_by_type_and_by_name():
    used = usage_of({"input": 1_000_000, "output": 1_000_000})
    assert price("gpt-4o-mini", "https://api.openai.com/v1").of(used) == usd("0.75")
    assert price("gpt-4o-mini-2024-07-18", "http://127.0.0.1:9/v1", "openai").of(used) == usd("0.75")
    assert price("gpt-4o-mini", "http://gateway.example").of(used) == usd("0.75")


def test_a_model_that_nobody_knows_has_no_price():
    assert price("my-own-model", "https://api.openai.com/v1") is None
    assert price("my-own-model") is None


def test_a_known_seller_is_not_priced_at_another_sellers_price():
    assert price("claude-sonnet-4-5", "https://api.openai.com/v1") is None


def test_cached_tokens_have_their_own_price():
    used = usage_of({"input": 1_000_000, "cache_read": 1_000_000})
    assert price("gpt-4o-mini", "https://api.openai.com/v1").of(used) == usd("0.225")


def test_a_long_prompt_is_dearer_where_the_seller_says_so():
    found = price("gemini-2.5-pro", "https://generativelanguage.googleapis.com")
    assert found.of(usage_of({"input": 200_000})) == usd("0.25")
    assert found.of(usage_of({"input": 200_001})) == 200_001 * usd("0.0000025")


def test_a_bucket_without_a_price_makes_the_cost_unknown():
    found = price("text-embedding-3-small", "https://api.openai.com")
    assert found.of(usage_of({"input": 1_000_000})) == usd("0.02")
    assert found.of(usage_of({"input": 1, "output": 1})) is None


def test_web_searches_are_charged():
    found = price("claude-sonnet-4-5", "https://api.anthropic.com")
    assert found.of(usage_of({"web_search": 3})) == usd("0.03")


def test_each_part_of_a_call_is_priced_with_its_own_model():
    used = usage_of({"input": 1_000_000})
    found = {
        None: configured({"input": Decimal(1), "output": Decimal(1)}),
        "b": configured({"input": Decimal(5), "output": Decimal(5)}),
    }
    assert cost_of([Charge(None, used), Charge("b", used)], found.get) == usd("6")
    assert cost_of([Charge(None, used), Charge("c", used)], found.get) is None


@pytest.mark.parametrize(("hour", "cheaper"), [(12, False), (20, True)])
def test_prices_that_depend_on_the_hour(hour, cheaper):
    """DeepSeek's off-peak prices of 2025 were in force from 16:30 to 00:30 UTC."""
    rows = CATALOGUE._find("deepseek-chat", "https://api.deepseek.com", None, None)._rows
    if len(rows) < 2:
        pytest.skip("the catalogue has no such price any more")
    moment = AT.replace(hour=hour)
    found = price("deepseek-chat", "https://api.deepseek.com", at=moment)
    active = [row for row in rows if row.constraint is None or row.constraint.active(moment)]
    assert found == from_catalogue(vars((active[-1] if active else rows[0]).prices))


def test_a_name_that_is_no_bucket():
    with pytest.raises(KeyError):
        usage_of({"prompt": 1})


@pytest.mark.parametrize(("model", "fee"), [("sonar", "0.012"), ("sonar-pro", "0.014"), ("sonar-deep-research", "0")])
def test_a_fee_for_each_request_makes_the_cost_unknown(model, fee):
    found = price(model, "https://api.perplexity.ai/chat/completions")
    used = usage_of({"input": 1_000_000, "output": 10})
    assert found.request_fee == usd(fee)
    assert (found.of(used) is None) == (fee != "0")
    # what is known of it is what a budget books at least
    assert found.least(used) >= usd("1")
