"""The price book: by the same rules as a meter's own prices."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest
from prometheus_client import CollectorRegistry

from llmmetrics import Meter
from llmmetrics.testing import observe
from llmmetrics.testing.harness import prices, set_owner
from llmmetrics.testing.prices import PriceBook

AT = datetime(2026, 8, 22, 12, 0, tzinfo=UTC)
USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 400}}


def settings(price: float) -> dict:
    return {
        "Backends": [
            {
                "Name": "mine",
                "Type": "OpenAI",
                "ApiKey": "x",
                "ModelName": "gpt-4o-mini",
                "CostPerMillionInputTokens": price,
                "CostPerMillionOutputTokens": 2,
            }
        ]
    }


def record(url="https://api.openai.com/v1/chat/completions", model="gpt-4o-mini", config=None):
    meter = Meter.from_settings(config or {}, registry=CollectorRegistry())
    inner = httpx.MockTransport(lambda _: httpx.Response(200, json={"model": model, "usage": USAGE}))
    records = []
    with observe(records.append), httpx.Client(transport=meter.transport(inner)) as client:
        client.post(url, json={"model": model})
    return records[0]


@pytest.mark.parametrize(
    ("url", "model", "config"),
    [
        ("https://api.openai.com/v1/chat/completions", "gpt-4o-mini", None),
        ("https://api.openai.com/v1/chat/completions", "gpt-4o-mini", settings(1)),
        ("https://api.openai.com/v1/chat/completions", "gpt-4o", settings(1)),
        ("https://gateway.example/v1/chat/completions", "gpt-4o", None),
        ("https://api.groq.com/openai/v1/chat/completions", "llama-3.3-70b-versatile", None),
        ("http://localhost:11434/v1/chat/completions", "gpt-4o", None),
        ("https://api.openai.com/v1/chat/completions", "an-unknown-model", None),
    ],
)
def test_a_book_prices_as_the_meter_did(url, model, config):
    seen = record(url, model, config)
    book = PriceBook(AT)
    book.learn(seen)
    price = book.price(seen.backend, seen.model, seen.model_responded)
    cost = prices.cost(price, seen.usage.buckets)
    assert (None if cost is None else prices.dollars(cost)) == seen.cost_usd
    # and so does a book that was only told
    other = PriceBook(AT)
    other.learn_known(book.known())
    assert other.price(seen.backend, seen.model, seen.model_responded) == price
    if price is not None:
        assert prices.price_of(prices.plain(price)) == price
        assert prices.digest(prices.price_of(prices.plain(price))) == prices.digest(price)


def test_of_two_configured_prices_the_order_does_not_matter():
    records = [record(config=settings(each)) for each in (1, 3, 2)]
    found = set()
    for order in (records, records[::-1]):
        book = PriceBook(AT)
        for each in order:
            book.learn(each)
        found.add(prices.digest(book.price("mine", "gpt-4o-mini")))
    assert len(found) == 1


def test_a_call_belongs_to_what_held_when_it_began():
    before = set_owner("first")
    try:
        assert record().owner == "first"
        assert set_owner("second") == "first"
    finally:
        set_owner(before)


def test_calls_in_flight_are_known():
    meter = Meter(registry=CollectorRegistry())
    inner = httpx.MockTransport(lambda _: httpx.Response(200, stream=httpx.ByteStream(b"{}")))
    with httpx.Client(transport=meter.transport(inner)) as client:
        assert meter.engine.in_flight == 0
        with client.stream("POST", "https://api.openai.com/v1/chat/completions", json={"model": "m"}):
            assert meter.engine.in_flight == 1
        assert meter.engine.in_flight == 0
