"""`--llm-max-usd` and `llm_limit(enforce=True)`: calls that would pass a limit are refused, by the server's own log."""

from __future__ import annotations

import pytest
from support import SOAK

from llmmetrics.testing import serve

pytest_plugins = ["pytester"]

SUITE = """
import httpx2
import pytest
from prometheus_client import CollectorRegistry

from llmmetrics import BudgetExceeded, Meter

OWN = {"CostPerMillionInputTokens": 0, "CostPerMillionOutputTokens": 1_000_000}


@pytest.fixture(scope="session")
def ask():
    meter = Meter.from_settings(
        {"Backends": [{"Name": "b", "BaseUrl": "URL/v1", **OWN}]}, registry=CollectorRegistry()
    )
    client = httpx2.Client(transport=meter.transport())

    def ask():
        body = {"model": "m", "max_tokens": 8, "messages": [{"role": "user", "content": "Hi"}]}
        return client.post("URL/v1/chat/completions", json=body)

    return ask
"""

SPENDING = """
@pytest.mark.parametrize("number", range(12))
def test_spends(ask, number):
    ask()
"""


@pytest.fixture
def provider():
    with serve() as running:
        yield running


def suite(pytester, provider, text):
    pytester.makepyfile(test_live=SUITE.replace("URL", provider.url) + text)


@pytest.mark.parametrize("workers", [(), ("-n", "4")] if SOAK else [("-n", "4")])
def test_a_session_never_passes_its_limit(pytester, provider, workers):
    """A call costs $8, in all workers together at most $40."""
    suite(pytester, provider, SPENDING)
    result = pytester.runpytest_subprocess("--llm-max-usd=40", "-p", "no:randomly", *workers)
    result.assert_outcomes(passed=5, failed=7)
    assert len(provider.requests) == 5
    result.stdout.fnmatch_lines(
        [
            "*BudgetExceeded: refused: the run '--llm-max-usd' has spent $40*raise the limit of --llm-max-usd",
            "*$40 of the $40 of --llm-max-usd",
        ]
    )


PRICES = """
{
    "Schema": 1,
    "Prices": [
        {
            "Model": "own-7b",
            "From": "2026-01-01T00:00:00Z",
            "CostPerMillionInputTokens": 1,
            "CostPerMillionOutputTokens": 2
        }
    ]
}
"""

UNPRICED = """
import httpx2

def test_asks():
    body = {"model": "own-7b", "max_tokens": 8, "messages": []}
    httpx2.post("URL/v1/chat/completions", json=body).raise_for_status()
"""


def test_a_price_file_holds_for_the_session_too(pytester, provider):
    pytester.makepyfile(test_live=UNPRICED.replace("URL", provider.url))
    pytester.makefile(".json", own=PRICES)
    result = pytester.runpytest_subprocess("--llm-max-usd=1")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no price is known*, and the run '--llm-max-usd' has a budget*price file*"])
    pytester.runpytest_subprocess("--llm-max-usd=1", "--llm-prices=own.json").assert_outcomes(passed=1)
    assert pytester.runpytest_subprocess("--llm-max-usd=1", "--llm-prices=none.json").ret == pytest.ExitCode.USAGE_ERROR


def test_a_test_whose_forecast_does_not_fit_is_skipped(pytester):
    """A call costs $0.60: a million tokens."""
    pytester.makepyfile(
        test_live="""
        import httpx2
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_spends(llm_provider, number):
            llm_provider.reply("x", prompt_tokens=0, completion_tokens=1_000_000)
            body = {"model": "gpt-4o-mini", "max_tokens": 1_000_000, "messages": []}
            httpx2.post("https://api.openai.com/v1/chat/completions", json=body)
        """
    )
    pytester.runpytest_subprocess("--llm-baseline=create").assert_outcomes(passed=4)
    result = pytester.runpytest_subprocess("--llm-max-usd=1.50", "-rs")
    result.assert_outcomes(passed=2, skipped=2)
    result.stdout.fnmatch_lines(["*--llm-max-usd=1.50: $0.3 is left, and this test cost $0.6 in the baseline*"])


@pytest.mark.parametrize("amount", ["-1", "abc", "NaN", ""])
def test_a_wrong_amount_is_a_usage_error(pytester, amount):
    result = pytester.runpytest_subprocess(f"--llm-max-usd={amount}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--llm-max-usd={amount!r}: use dollars from 0*"])


def test_an_enforced_limit_refuses_the_call_that_comes_after_it(pytester, provider):
    suite(
        pytester,
        provider,
        """
@pytest.mark.llm_limit(calls=2, enforce=True)
def test_loops(ask):
    while True:
        ask()

@pytest.mark.llm_limit(calls=2, enforce=True)
def test_fits(ask):
    ask()
    ask()

@pytest.mark.llm_limit(usd="9", enforce=True)
def test_dollars(ask):
    with pytest.raises(BudgetExceeded):
        while True:
            ask()

@pytest.mark.llm_limit(calls=1)
def test_refuses_nothing(ask):
    ask()
    ask()
""",
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, failed=3)
    assert len(provider.requests) == 2 + 2 + 2 + 2
    result.stdout.fnmatch_lines(
        ["*has made 2 of its 2 calls. To let it through, raise the limit of @pytest.mark.llm_limit"]
    )
    result.stdout.fnmatch_lines(["over @pytest.mark.llm_limit: $16*"])
