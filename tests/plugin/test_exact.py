"""Costs are exact: the error of a comparison with a float says what to write."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pytest_llmmetrics import usd
from pytest_llmmetrics.exact import Usd


@pytest.mark.parametrize("other", [0.01, pytest.approx(0.01), pytest.approx(0.01, abs=0.1)], ids=repr)
def test_a_float_is_no_cost(other):
    for compare in (
        lambda: Usd("0.01") == other,
        lambda: other == Usd("0.01"),
        lambda: Usd("0.01") != other,
    ):
        with pytest.raises(TypeError, match=r'compare it with usd\("0.01"\) \(from pytest_llmmetrics import usd\)'):
            compare()


def test_what_is_exact_compares():
    cost = Usd("0.01")
    assert cost == usd("0.01") == cost
    assert cost == pytest.approx(usd("0.0101"), abs=usd("0.001"))
    assert cost != 1
    assert Usd(0) == 0
    assert 0.001 < cost < 0.02
    assert {cost: "hashed"}[Decimal("0.01")]


@pytest.fixture
def llm_settings():
    return {"Backends": [{"Name": "b", "Type": "OpenAI", "ModelName": "gpt-4o-mini"}]}


def test_what_the_fixtures_give(llm_metrics, llm_budget):
    llm_budget.set("b", "0.01")
    for amount in (llm_metrics.cost, llm_budget.spent("b"), llm_budget.remaining("b")):
        with pytest.raises(TypeError, match="usd"):
            assert amount == 0.01
