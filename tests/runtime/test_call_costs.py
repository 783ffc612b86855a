"""The cost of a call: configured prices, the catalogue, and unknown prices."""

from __future__ import annotations

from decimal import Decimal

import pytest
from support.meter_setup import USAGE, Setup, backend

# the price


PRICED = {"CostPerMillionInputTokens": 10, "CostPerMillionOutputTokens": 100}


def test_a_backends_own_price_is_for_its_own_model():
    setup = Setup({"Backends": [backend("b", ModelName="gpt-4o-mini", **PRICED)]})
    assert setup.post().cost_usd == Decimal("0.02")
    assert setup.post(model="gpt-4o").cost_usd == Decimal("0.0035"), "the catalogue's"


def test_a_backends_own_price_without_a_model_is_for_any():
    setup = Setup({"Backends": [backend("b", **PRICED)]})
    assert setup.post(model="whatever").cost_usd == Decimal("0.02")


def test_a_configured_price_comes_before_the_wires_own():
    setup = Setup({"Backends": [backend("b", "GenericOpenAI", BaseUrl="https://openrouter.ai/api", **PRICED)]})
    setup.body = {"usage": {**USAGE, "cost": 7}}
    assert setup.post("https://openrouter.ai/api/v1/chat/completions").cost_usd == Decimal("0.02")
    plain = Setup()
    plain.body = setup.body
    assert plain.post("https://openrouter.ai/api/v1/chat/completions").cost_usd == Decimal(7)


def test_the_catalogue_is_asked_for_the_model_that_answered_first():
    setup = Setup()
    setup.body = {"model": "gpt-4o-2024-08-06", "usage": USAGE}
    assert setup.post(model="my-alias").cost_usd == Decimal("0.0035")
    setup.body = {"model": "a-name-unknown-model", "usage": USAGE}
    assert setup.post(model="gpt-4o-mini").cost_usd == Decimal("0.00021")


def test_an_unknown_price_is_no_zero(caplog):
    setup = Setup()
    record = setup.post(model="unknown-model")
    setup.post(model="unknown-model")
    assert record.cost_usd is None
    assert not setup.has("llm_estimated_cost_usd", model="unknown-model")
    assert setup.value("llmmetrics_calls_without_price_total", backend="openai", model="unknown-model") == 2
    assert caplog.text.count("no price is known for 'unknown-model'") == 1


def test_what_runs_at_home_has_no_catalogue_price():
    setup = Setup()
    assert setup.post("http://localhost:11434/v1/chat/completions", model="gpt-4o-mini").cost_usd is None


def test_a_cost_child_exists_from_the_start_where_the_price_is_known():
    setup = Setup(
        {
            "Backends": [
                backend("own", ModelName="x", **PRICED),
                backend("catalogue", BaseUrl="https://api.openai.com/v1", ModelName="gpt-4o"),
                backend("unpriced", BaseUrl="https://y.example", ModelName="y"),
                backend("local", "Ollama", ModelName="gpt-4o"),
            ]
        }
    )
    assert {
        name: setup.has("llm_estimated_cost_usd", backend=name) for name in ("own", "catalogue", "unpriced", "local")
    } == {
        "own": True,
        "catalogue": True,
        "unpriced": False,
        "local": False,
    }
    for name in ("own", "catalogue", "unpriced", "local"):
        assert setup.has("llm_requests_total", backend=name, status="timeout")
        assert setup.has("llm_tokens_total", backend=name, token_type="total")
        assert setup.has("llm_errors_total", backend=name, error_type="auth")
        assert setup.value("llm_backend_health", backend=name) == 1
        assert setup.has("llm_active_requests", backend=name)


# known, estimated, unknown


def test_a_call_without_usage_is_estimated():
    setup = Setup({"Backends": [backend("b", **PRICED)]})
    setup.body = {"choices": [{"message": {"content": "No, not at all. " * 5}}]}
    record = setup.post(messages=[{"role": "user", "content": "Is it so now? " * 40}])
    assert not record.usage_known
    prompt, completion, total = record.usage.prompt, record.usage.completion, record.usage.total
    assert (70 < prompt < 200, 20 < completion < 35) == (True, True)
    assert record.cost_usd == (10 * prompt + 100 * completion) * Decimal("0.000001")
    assert setup.value("llmmetrics_calls_without_usage_total", reason="absent") == 1
    assert setup.value("llmmetrics_estimated_tokens_total", token_type="total") == total
    assert setup.value("llm_tokens_total", token_type="total") == total


def test_an_error_answer_used_nothing():
    setup = Setup({"Backends": [backend("b", **PRICED)]})
    setup.status, setup.body = 429, {"error": {"code": "insufficient_quota"}}
    record = setup.post()
    assert (record.usage, record.usage_known, record.cost_usd) == (None, True, Decimal(0))
    assert setup.value("llmmetrics_calls_without_usage_total") == 0


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"<html>no</html>", "malformed"), (b"", "malformed"), (b'"text"', "malformed")],
)
def test_a_body_that_is_not_what_its_format_says(body, reason):
    setup = Setup()
    setup.body = body
    record = setup.post()
    assert (record.status, record.error_type) == ("failure", "unknown")
    assert setup.value("llmmetrics_unread_calls_total", reason=reason) == 1


@pytest.mark.parametrize("value", [-1, "12", 1e30, True, [1]])
def test_a_count_that_cannot_be_is_rejected_and_counted(value):
    setup = Setup()
    setup.body = {"model": "m", "usage": {**USAGE, "prompt_tokens": value}}
    record = setup.post()
    assert not record.usage_known
    assert record.model_responded == "m"
    assert setup.value("llmmetrics_unread_calls_total", reason="usage") == 1
