"""Amounts of every size: exact to the pico-dollar, up to nine million dollars."""

from __future__ import annotations

from decimal import Decimal

import httpx
import pytest
from support.ledger_calls import NEVER, balance, reserve, settle

from llmmetrics import BudgetExceeded
from llmmetrics.budgets.amounts import usd
from llmmetrics.budgets.ledgers import Basis
from llmmetrics.budgets.ledgers.base import MOST


def parts(found):
    return found.spent, found.reserved, found.worst_case


def test_amounts_are_exact_up_to_nine_million_dollars(ledger):
    settle(ledger, MOST - 10, shape=NEVER)
    assert settle(ledger, 9, shape=NEVER).spent == MOST - 1
    assert not reserve(ledger, 2, limit=MOST, shape=NEVER).admitted
    assert reserve(ledger, 1, limit=MOST, shape=NEVER).reserved == 1


def test_the_smallest_amounts_add_up(ledger):
    for _ in range(100):
        settle(ledger, 450)
    assert balance(ledger).spent == 45_000


@pytest.mark.parametrize("amount", [MOST, MOST + 1, 10**19, 2**63 - 1, 2**64, 10**30])
def test_more_than_nine_million_dollars_are_nine_million(ledger, amount):
    assert settle(ledger, 1).spent == 1
    assert settle(ledger, amount).spent == MOST
    assert settle(ledger, amount).spent == MOST
    assert not reserve(ledger, 1, limit=MOST).admitted
    assert not reserve(ledger, amount, limit=MOST).admitted
    assert balance(ledger, shape=NEVER).spent == MOST


@pytest.mark.parametrize("amount", [2**53 - 1, 2**53 + 1, 10**15, 10**16 - 1, 123_456_789_012_345_678])
def test_amounts_are_exact_where_floats_are_not(ledger, amount):
    reserve(ledger, amount, limit=MOST, id="a")
    assert reserve(ledger, 3, limit=MOST).reserved == amount + 3
    assert settle(ledger, amount - 2, "a").spent == amount - 2
    assert settle(ledger, 1, basis=Basis.ESTIMATED).spent == amount - 1
    assert parts(balance(ledger)) == (amount - 1, 3, 0)


def test_calls_that_cost_less_than_a_nano_dollar_add_up(made):
    """Three tokens at $0.00015 a million: 4.5e-10 each."""
    own = {"CostPerMillionInputTokens": 0, "CostPerMillionOutputTokens": "0.00015"}
    setup = made("0.0000000045", backend=own)
    for _ in range(10):
        setup.call()
    assert setup.spent == pytest.approx(4.5e-9, rel=1e-6)
    line = setup.meter.engine.enforcer.budget.lines["b"]
    assert usd(line.spent) == Decimal("4.5E-9") == usd(line.limit)
    with pytest.raises(BudgetExceeded):
        setup.call()


@pytest.mark.parametrize("tokens", [10**9, 10**15, 10**30])
def test_a_count_that_no_provider_bills_poisons_nothing(made, tokens):
    reply = {"model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": tokens}}
    setup = made("100", Mode="strict", answer=lambda _: httpx.Response(200, json=reply))
    setup.call(max_tokens=9)
    # it is read, and is more than the limit, or is taken for an error of the provider
    spent = setup.meter.engine.enforcer.budget.lines["b"].spent
    assert 9 * 10**12 <= spent <= MOST
    assert not setup.meter.engine.enforcer.budget.guard._journal
    assert setup.value("llmmetrics_ledger_errors_total") == 0
