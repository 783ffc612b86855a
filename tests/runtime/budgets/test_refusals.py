"""Refusals: what a strict one says, and calls whose price is not known."""

from __future__ import annotations

import pickle

import httpx
import pytest
from prometheus_client import CollectorRegistry
from support.budget_setup import ASK, URL

from llmmetrics import BudgetExceeded, ConfigError, Meter, budget_exceeded

# what a strict refusal says

TOMORROW = "2026-11-25T00:00:00+00:00"


@pytest.mark.parametrize(
    ("limit", "calls", "ask", "max_tokens", "text"),
    [
        # what is left is enough for less output
        (
            "10",
            2,
            {"max_tokens": 9},
            4,
            f"Set max_tokens to 4 or less, which bounds the cost, or call again at {TOMORROW}",
        ),
        ("10", 0, {"max_tokens": 11}, 10, "Set max_tokens to 10 or less, which bounds the cost, or raise MaxSpendUsd"),
        ("10", 0, {"max_tokens": 7, "n": 2}, 5, "Set max_tokens to 5 or less"),
        # without a bound it is the context window
        ("10", 0, {}, 10, "Set max_tokens to 10 or less, which bounds the cost, or raise MaxSpendUsd"),
        # nothing is left: the next window
        ("6", 2, {"max_tokens": 3}, None, f"It accepts this call again at {TOMORROW}"),
        # neither
        ("6", 2, {"max_tokens": 7}, None, "Neither max_tokens now nor the next window alone lets it through"),
        ("2", 0, {"max_tokens": 7, "n": 3}, None, "Neither max_tokens now nor the next window alone lets it through"),
    ],
)
def test_a_strict_refusal_says_what_would_let_the_call_through(made, limit, calls, ask, max_tokens, text):
    setup = made(limit, Mode="strict")
    for _ in range(calls):
        setup.call(max_tokens=3)
    with pytest.raises(BudgetExceeded) as caught:
        setup.call(**ask)
    refusal = caught.value
    cost = ask.get("max_tokens", 200_000) * ask.get("n", 1)
    assert (refusal.could_cost, refusal.max_tokens) == (cost, max_tokens)
    left = int(limit) - 3 * calls
    assert f"this call could cost ${cost}, and 'b' has ${left} left: it has spent ${3 * calls} of its" in str(refusal)
    assert text in str(refusal)
    assert pickle.loads(pickle.dumps(refusal)).args == refusal.args
    answer = setup.client.post(URL, json={**ASK, **ask}, headers={"x-stainless-lang": "python"})
    with pytest.raises(httpx.HTTPStatusError) as status:
        answer.raise_for_status()
    assert budget_exceeded(status.value).args == refusal.args
    if max_tokens:
        assert setup.call(**{**ask, "max_tokens": max_tokens}).status_code == 200


def test_a_strict_refusal_of_a_window_that_never_ends(made):
    setup = made("6", Mode="strict", backend={"SpendResetPeriod": "Never"})
    for _ in range(2):
        setup.call(max_tokens=3)
    with pytest.raises(BudgetExceeded, match=r"could cost \$3, .* Raise MaxSpendUsd, or run `llmmetrics budget reset`"):
        setup.call(max_tokens=3)


# prices


NOBODY_KNOWS = {"ModelName": None, "CostPerMillionInputTokens": None, "CostPerMillionOutputTokens": None}


def test_a_call_whose_price_nobody_knows(made):
    setup = made(backend=NOBODY_KNOWS)
    with pytest.raises(BudgetExceeded, match="no price is known for this call at 'b'"):
        setup.call(model="no-such-model")
    assert setup.refusals == {"unknown_price": 1}
    # the catalogue knows this one
    assert setup.call(model="gpt-4o-mini").status_code == 200


def test_it_may_be_let_through(made):
    setup = made(backend=NOBODY_KNOWS, OnUnknownPrice="warn")
    assert setup.call(model="no-such-model").status_code == 200
    assert setup.spent == 0


def test_a_limited_backend_without_a_price_is_an_error_at_start(made):
    with pytest.raises(ConfigError, match="'b' has MaxSpendUsd, and no price is known for its model 'm'"):
        made(backend={**NOBODY_KNOWS, "ModelName": "m"})
    assert made(backend={**NOBODY_KNOWS, "ModelName": "m"}, OnUnknownPrice="warn")


def test_budgets_hold_without_metrics(tmp_path):
    meter = Meter.from_settings(
        {
            "Telemetry": {"EnableMetrics": False},
            "Budget": {"Ledger": "memory://"},
            "Backends": [
                {
                    "Name": "b",
                    "MaxSpendUsd": 3,
                    "CostPerMillionInputTokens": 0,
                    "CostPerMillionOutputTokens": 1_000_000,
                }
            ],
        },
        registry=CollectorRegistry(),
    )
    reply = httpx.Response(200, json={"model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 3}})
    client = httpx.Client(transport=meter.transport(httpx.MockTransport(lambda _: reply)))
    client.post(URL, json=ASK)
    with pytest.raises(BudgetExceeded):
        client.post(URL, json=ASK)
    meter.close()
