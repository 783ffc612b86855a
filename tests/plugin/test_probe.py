"""The probe reads every meter's calls, as the difference since the test's start."""

from __future__ import annotations

import gc

import httpx
import httpx2
import pytest
from prometheus_client import CollectorRegistry, Counter
from support.meter_setup import no_other_meter

import llmmetrics
from llmmetrics import Meter
from pytest_llmmetrics import faults, usd

pytest_plugins = ["pytester"]
# what is read here are all living meters
_no_other_meter = pytest.fixture(autouse=True)(no_other_meter)
URL = "https://api.openai.com/v1/chat/completions"
ASK = {"model": "gpt-4o-mini", "messages": []}
OWN = {"CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 2}


def ask(transport=None, **body):
    with httpx2.Client(transport=transport) as client:
        return client.post(URL, json={**ASK, **body})


@pytest.fixture(autouse=True)
def answers(llm_provider):
    llm_provider.otherwise = llmmetrics.testing.Answer(prompt_tokens=120, completion_tokens=8)
    return llm_provider


def test_what_nobody_meters(llm_metrics):
    ask()
    httpx.post(URL, json=ASK)
    assert llm_metrics.tokens == {"prompt": 240, "completion": 16, "total": 256}
    assert llm_metrics.cost == usd("0.0000456")
    assert llm_metrics.last.meter.registry is not None


def test_a_meter_of_the_code_s_own(llm_metrics):
    meter = Meter.from_settings({"Backends": [{"Name": "mine", **OWN}]}, registry=CollectorRegistry())
    ask(meter.transport())
    llm_metrics.assert_delta("llm_requests_total", {("mine", "gpt-4o-mini", "success"): 1})
    assert llm_metrics.cost == usd("0.000136")


def test_a_meter_that_nobody_holds_any_more(llm_metrics):
    ask(Meter(registry=CollectorRegistry()).transport())
    gc.collect()
    assert llm_metrics.tokens["total"] == 128


def test_the_instrumented_process(llm_metrics, llm_meter):
    meter = Meter(registry=CollectorRegistry())
    llmmetrics.instrument(meter)
    try:
        ask()
    finally:
        llmmetrics.uninstrument()
    assert llm_metrics.last.meter is meter.engine
    assert llm_metrics.attempts == 1


@pytest.fixture
def used():
    meter = Meter(registry=CollectorRegistry())
    ask(meter.transport())
    return meter


def test_only_what_the_test_itself_moves(used, llm_metrics):
    assert llm_metrics.attempts == llm_metrics.delta("llm_requests_total") == 0
    assert llm_metrics.value("llm_requests_total") == 1
    ask(used.transport())
    assert llm_metrics.attempts == llm_metrics.delta("llm_requests_total") == 1


def test_two_meters_on_one_registry_count_once(llm_metrics):
    registry = CollectorRegistry()
    for _ in range(2):
        ask(Meter(registry=registry).transport())
    assert llm_metrics.delta("llm_requests_total") == 2


def test_a_metric_of_the_user_s_own_beside_ours(llm_metrics):
    registry = CollectorRegistry()
    meter = Meter(registry=registry)
    own = Counter("my_summaries_total", "Mine", ["kind"], registry=registry)
    own.labels("short").inc(3)
    assert llm_metrics.delta("my_summaries_total", kind="short") == 3
    with pytest.raises(AssertionError, match="no metric 'my_summary_total': did you mean 'my_summaries_total'"):
        llm_metrics.delta("my_summary_total")
    assert meter.registry is registry


def test_calls_and_attempts(llm_metrics, answers):
    answers.fail(faults.RATE_LIMIT).then.fail(faults.UNAVAILABLE).then.reply("ok")
    for _ in range(3):
        ask()
    ask(model="gpt-4o")
    ask()
    assert (llm_metrics.calls, llm_metrics.attempts) == (3, 5)
    assert llm_metrics.errors == {"rate_limit": 1, "api_error": 1}
    llm_metrics.assert_delta("llm_errors_total", {"rate_limit": 1, "api_error": 1})


def test_a_part_of_a_test(llm_metrics):
    ask()
    with llm_metrics.during() as part:
        ask()
        assert part.attempts == 1
    ask()
    assert (part.attempts, part.tokens["prompt"]) == (1, 120)
    assert llm_metrics.attempts == 3


def test_an_unknown_price_is_no_cost(llm_metrics):
    ask(model="a-model-without-price")
    assert llm_metrics.cost is None
    assert llm_metrics.last.cost_usd is None


def test_no_call_costs_nothing_and_has_no_last(llm_metrics):
    assert llm_metrics.cost == 0
    assert llm_metrics.moved() == {}
    with pytest.raises(AssertionError, match="no LLM call was metered: the code under test made no call"):
        llm_metrics.last  # noqa: B018


def test_counters_that_are_nowhere_are_no_0(llm_metrics):
    meter = Meter.from_settings({"Telemetry": {"EnableMetrics": False}}, registry=CollectorRegistry())
    ask(meter.transport())
    assert llm_metrics.attempts == 1
    with pytest.raises(AssertionError, match="EnableMetrics: false, so there are no counters to read"):
        llm_metrics.tokens  # noqa: B018


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ({}, r"llm_tokens_total moved by token_type: \{'completion': 8.0, 'prompt': 120.0, 'total': 128.0\}, not \{\}"),
        ({"prompt": 120, "completion": 8}, "not {'prompt': 120, 'completion': 8}"),
        ({("openai", "gpt-4o-mini", "prompt"): 120}, "moved by backend and model and token_type"),
    ],
)
def test_assert_delta_is_exact(llm_metrics, expected, said):
    ask()
    with pytest.raises(AssertionError, match=said) as caught:
        llm_metrics.assert_delta("llm_tokens_total", expected)
    assert "openai gpt-4o-mini: success, HTTP 200, 120 + 8 tokens, $0.0000228" in str(caught.value)


def test_assert_delta_of_a_family_without_fixed_values(llm_metrics):
    ask()
    llm_metrics.assert_delta("llm_request_duration_seconds_count", {"openai": 1})
    llm_metrics.assert_delta("llm_active_requests", {})


def test_a_failing_test_shows_its_calls(pytester):
    pytester.makepyfile(
        """
        import httpx
        def test_it(llm_provider, llm_metrics):
            llm_provider.reply("hi", prompt_tokens=5, usage=False)
            httpx.post("https://api.openai.com/v1/chat/completions", json={"model": "m-9"})
            assert llm_metrics.delta("llm_requests_total", status="failure") == 1
        """
    )
    shown = pytester.runpytest_subprocess("-p", "no:cacheprovider").stdout
    shown.fnmatch_lines(
        [
            "*- llm_metrics -*",
            "calls:",
            "  openai m-9: success, HTTP 200, * tokens (estimated), price unknown",
            "moved:",
            '  *llm_requests_total{backend="openai",model="m-9",status="success"} +1',
        ]
    )
