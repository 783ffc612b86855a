"""Prices by piece: the table's own, what users set, and a limited backend whose model has only such prices."""

from __future__ import annotations

import logging
from decimal import Decimal

import httpx
import pytest
from prometheus_client import CollectorRegistry
from support.budget_setup import Setup

from llmmetrics import Meter
from llmmetrics.errors import ConfigError
from llmmetrics.pricing import price
from llmmetrics.pricing.catalogue import Catalogue
from llmmetrics.testing.unpriced import Unpriced
from llmmetrics.wire.usage import usage_of

CATALOGUE = Catalogue()
BASE = "https://api.openai.com/v1"

# from the providers' pages that `pieces` names: the name, how many, USD
ROWS = [
    ("openai", "dall-e-2/256x256", {"image": 3}, "0.048"),
    ("openai", "dall-e-2/1024x1024", {"image": 1}, "0.02"),
    ("openai", "dall-e-3/standard/1024x1024", {"image": 1}, "0.04"),
    ("openai", "dall-e-3/standard/1024x1792", {"image": 1}, "0.08"),
    ("azure", "dall-e-3/hd/1792x1024", {"image": 2}, "0.24"),
    ("openai", "sora-2/720x1280", {"video_second": 12}, "1.2"),
    ("openai", "sora-2-pro-2025-10-06/1280x720", {"video_second": 4}, "1.2"),
    ("google", "imagen-4.0-fast-generate-001", {"image": 4}, "0.08"),
    ("google", "imagen-4.0-generate-preview-06-06", {"image": 1}, "0.04"),
    ("google", "veo-3.1-generate-preview/1080p", {"video_second": 8}, "3.2"),
    ("google", "veo-3.1-generate-001/4k", {"video_second": 8}, "4.8"),
]


def listed(seller, name):
    return CATALOGUE.price(name, "", seller, lambda: None)


@pytest.mark.parametrize(("seller", "name", "buckets", "usd"), ROWS)
def test_a_piece_costs_what_the_page_says(seller, name, buckets, usd):
    assert price.dollars(listed(seller, name).of(usage_of(buckets))) == Decimal(usd)


@pytest.mark.parametrize(
    ("seller", "name"),
    [
        ("openai", "dall-e-3/hd/2048x2048"),
        ("openai", "sora-2/1792x1024"),
        ("google", "veo-3.1-generate-preview/1080p/silent"),
        ("mistral", "dall-e-3/hd/1024x1024"),
    ],
)
def test_what_is_not_on_the_page_has_no_price(seller, name):
    assert listed(seller, name) is None


OWN = [
    ("/images/generations", {"model": "flux", "n": 2}, {"data": []}, {"CostPerThousandImages": 3}, "0.006"),
    ("/audio/speech", {"model": "voice", "input": "hi" * 10}, {}, {"CostPerMillionCharacters": 65}, "0.0013"),
    ("/audio/transcriptions", {"model": "ears"}, {"duration": 7.2}, {"CostPerAudioHour": "0.5"}, "0.001"),
    (
        "/videos",
        {"model": "film"},
        {"model": "film", "seconds": "5", "size": "1x1"},
        {"CostPerVideoSecond": "0.2"},
        "1",
    ),
    ("/ocr", {"model": "eyes"}, {"usage_info": {"pages_processed": 7}}, {"CostPerThousandPages": 1}, "0.007"),
]


@pytest.mark.parametrize(("path", "asked", "answer", "own", "usd"), OWN)
def test_a_user_s_own_price_of_a_piece(path, asked, answer, own, usd):
    """On a gateway, whose provider is not known."""
    backend = {"Type": "GenericOpenAI", "BaseUrl": "https://gateway.example/v1", "ModelName": None, **own}
    prices = {"CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 1}
    setup = Setup("10", answer=lambda _: httpx.Response(200, json=answer), backend={**prices, **backend})
    assert setup.client.post("https://gateway.example/v1" + path, json=asked).status_code == 200
    assert setup.value("llm_estimated_cost_usd", backend="b") == pytest.approx(float(usd))
    assert setup.value("llm_backend_budget_usd", limit_type="current") == pytest.approx(float(usd))
    setup.meter.close()


def meter_of(model):
    backend = {"Name": "b", "Type": "OpenAI", "BaseUrl": BASE, "ModelName": model, "MaxSpendUsd": 1}
    return Meter.from_settings({"Backends": [backend], "Budget": {"Ledger": "memory://"}}, registry=CollectorRegistry())


@pytest.mark.parametrize("model", ["dall-e-3", "sora-2-pro", "whisper-1", "tts-1", "gpt-image-2"])
def test_a_limited_backend_of_a_model_that_is_sold_by_piece_starts(model):
    meter_of(model).close()


def test_one_of_a_model_without_any_price_does_not():
    with pytest.raises(ConfigError, match="dall-e-9"):
        meter_of("dall-e-9")


def test_a_meter_without_prices_says_nothing_of_them(caplog):
    """The plugin has one: a test's own log holds no warning of ours."""
    inner = httpx.MockTransport(lambda _: httpx.Response(200, json={"usage": {"prompt_tokens": 1}}))
    unpriced = Unpriced()
    meter = Meter(registry=CollectorRegistry())
    meter.engine = unpriced.engine
    client = httpx.Client(transport=meter.transport(inner))
    with caplog.at_level(logging.WARNING, "llmmetrics"):
        for path in ("/chat/completions", "/images/generations", "/fine_tuning/jobs"):
            client.post(BASE + path, json={"model": "gpt-4o"})
    assert caplog.messages == []
