"""Tiers and fees without a known price: the cost is unknown, and a budget books the known part."""

from __future__ import annotations

import logging
from decimal import Decimal

import httpx
import pytest
from prometheus_client import CollectorRegistry
from support.samples import samples

from llmmetrics import BudgetExceeded, Meter, wire
from llmmetrics.settings.model import Settings
from llmmetrics.testing import observe
from llmmetrics.wire.tiers import asked_tier

OPENAI = "https://api.openai.com/v1/chat/completions"
ANTHROPIC = "https://api.anthropic.com/v1/messages"
USAGE = {"prompt_tokens": 1_000_000, "completion_tokens": 0}
SEARCHED = {"input_tokens": 1_000_000, "output_tokens": 0, "server_tool_use": {"web_search_requests": 2}}
OWN = {"CostPerMillionInputTokens": 3, "CostPerMillionOutputTokens": 15}


class Setup:
    def __init__(self, **settings):
        self.registry = CollectorRegistry()
        self.meter = Meter.from_settings(settings, registry=self.registry)
        self.body = {}
        answer = httpx.MockTransport(lambda _: httpx.Response(200, json=self.body))
        self.client = httpx.Client(transport=self.meter.transport(answer))

    def call(self, body, url=OPENAI, **asked):
        self.body, found = body, []
        with observe(found.append):
            self.client.post(url, json={"model": "gpt-5", **asked})
        return found[0]

    def value(self, name, **labels):
        return sum(samples(self.registry, name, **labels))


def test_a_tier_without_a_price_is_counted_and_said_once(caplog):
    setup = Setup()
    records = [setup.call({"model": "gpt-5", "usage": USAGE, "service_tier": "scale"}) for _ in range(2)]
    assert [(each.cost_usd, each.tier) for each in records] == [(None, "scale")] * 2
    assert setup.value("llmmetrics_calls_without_price_total", backend="openai", model="gpt-5") == 2
    assert setup.value("llm_estimated_cost_usd") == 0
    (said,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert said.getMessage().startswith("no price is known for 'gpt-5' at 'openai' in the service tier 'scale': ")
    # the standard tier has its price all the while
    assert setup.call({"model": "gpt-5", "usage": USAGE, "service_tier": "default"}).cost_usd == Decimal("1.25")


def test_a_fee_without_a_price_is_no_zero(caplog):
    backend = {"Name": "mine", "Type": "Anthropic", **OWN}
    setup = Setup(Backends=[backend])
    assert setup.call({"usage": SEARCHED}, ANTHROPIC).cost_usd is None
    assert "no price is known for 'gpt-5' at 'mine', or of its web_search" in caplog.text
    assert setup.call({"usage": {**SEARCHED, "server_tool_use": {}}}, ANTHROPIC).cost_usd == 3
    priced = Setup(Backends=[{**backend, "CostPerThousandWebSearches": 10}])
    assert priced.call({"usage": SEARCHED}, ANTHROPIC).cost_usd == Decimal("3.02")


def test_a_configured_price_holds_in_every_tier():
    setup = Setup(Backends=[{"Name": "mine", **OWN}])
    assert setup.call({"usage": USAGE, "service_tier": "priority"}).cost_usd == 3


def test_a_call_that_nobody_answered_was_in_the_tier_that_it_asked_for():
    setup = Setup()

    def time_out(request):
        raise httpx.ReadTimeout("", request=request)

    setup.client = httpx.Client(transport=setup.meter.transport(httpx.MockTransport(time_out)))
    found = []
    with observe(found.append), pytest.raises(httpx.ReadTimeout):
        setup.client.post(OPENAI, json={"model": "gpt-5", "service_tier": "scale"})
    assert (found[0].usage_known, found[0].tier, found[0].cost_usd) == (False, "scale", None)


def limited(mode, **own):
    return Setup(
        Budget={"Ledger": "memory://", "Mode": mode},
        Backends=[{"Name": "b", "ModelName": "gpt-5", "MaxSpendUsd": 100, **own}],
    )


@pytest.fixture
def budget():
    made = []

    def make(*args, **own):
        made.append(limited(*args, **own))
        return made[-1]

    yield make
    for each in made:
        each.meter.close()


def spent(setup):
    return setup.value("llm_backend_budget_usd", limit_type="current")


def test_a_budget_books_what_is_known_of_an_unknown_cost(budget):
    setup = budget("documented")
    assert setup.call({"model": "gpt-5", "usage": USAGE, "service_tier": "scale"}).cost_usd is None
    assert spent(setup) == pytest.approx(1.25)
    own = budget("documented", Type="Anthropic", **OWN)
    assert own.call({"usage": SEARCHED}, ANTHROPIC).cost_usd is None
    assert spent(own) == pytest.approx(3)


def test_a_strict_budget_books_the_worst_case_of_an_unknown_cost(budget):
    setup = budget("strict", Type="Anthropic", **OWN)
    small = {**SEARCHED, "input_tokens": 1}
    assert setup.call({"usage": small}, ANTHROPIC, max_tokens=1_000_000).cost_usd is None
    assert spent(setup) > 15


@pytest.mark.parametrize("mode", ["documented", "strict"])
def test_a_limited_backend_takes_no_call_in_a_tier_without_a_price(budget, mode):
    setup = budget(mode)
    with pytest.raises(BudgetExceeded) as caught:
        setup.call({}, service_tier="scale", max_tokens=10)
    assert caught.value.reason == "unknown_price"
    setup.call({"model": "gpt-5", "usage": {"prompt_tokens": 1}}, service_tier="flex", max_tokens=10)


def test_a_strict_budget_reserves_at_the_price_of_the_tier(budget):
    setup, reserved = budget("strict"), []

    def answer(_):
        reserved.extend(entry.amount for entry in setup.meter.engine.enforcer.budget.in_flight.values())
        return httpx.Response(200, json={"model": "gpt-5", "usage": USAGE})

    with httpx.Client(transport=setup.meter.transport(httpx.MockTransport(answer))) as client:
        for tier in ("default", "priority"):
            client.post(OPENAI, json={"model": "gpt-5", "max_tokens": 10**6, "service_tier": tier})
    # $10 and $20 for a million of output, but for the few bytes of the request
    assert reserved[1] == pytest.approx(2 * reserved[0], rel=0.001)


@pytest.mark.parametrize(
    ("api", "body", "tier"),
    [
        ("openai.chat", '{"service_tier": "Flex"}', "flex"),
        ("openai.chat", '{"service_tier": "auto"}', None),
        ("bedrock.converse", '{"serviceTier": {"type": "priority"}}', "priority"),
        ("gemini.generate", '{"serviceTier": "flex"}', "flex"),
        ("anthropic.messages", '{"speed": "fast"}', "fast"),
        ("bedrock.converse", '{"performanceConfig": {"latency": "optimized"}}', "optimized"),
        ("bedrock.invoke", '{"performanceConfig": "optimized", "service_tier": 3}', None),
        # another format's name
        ("openai.chat", '{"speed": "fast"}', None),
        # words of the prompt and of a tool's schema
        ("openai.chat", r'{"messages": ["\"service_tier\": \"flex\""]}', None),
        ("anthropic.messages", '{"tools": [{"speed": {"type": "string"}, "service_tier": "flex"}]}', None),
        ("openai.chat", '{"service_tier": "flex"', None),
        ("openai.chat", '["service_tier", "speed"]', None),
    ],
)
def test_what_a_request_asks_for(api, body, tier):
    (format,) = (each for each in wire.FORMATS if each.id == api)
    assert asked_tier(format, body.encode()) == tier


def test_the_prices_are_settings():
    made = Settings.model_validate({"Backends": [{"Name": "a", **OWN, "CostPerMillionCacheWrite1HTokens": 6}]})
    assert made.backends[0].price.units["cache_write_1h"] == 6 * 10**12
