"""A suite's bill separates service tiers: each has its own price, or none."""

from __future__ import annotations

from decimal import Decimal

from llmmetrics.testing import prices
from llmmetrics.testing.prices import PriceBook
from llmmetrics.wire.format import Charge
from llmmetrics.wire.usage import usage_of
from pytest_llmmetrics.bill.report import price_key, priced
from pytest_llmmetrics.bill.rows import SeenAttempt, rows_of


def seen(tier):
    parts = (Charge(None, usage_of({"input": 1_000_000})),)
    return SeenAttempt("f", "success", None, "openai", "gpt-5", "gpt-5", True, parts, None, tier)


def test_a_tier_is_a_row_of_its_own():
    book = PriceBook()
    book.learn_known({"sellers": {"openai": "openai"}})
    rows = rows_of("t", [seen(None), seen("flex"), seen("scale"), seen("flex")], book)
    known = {price_key(row): book.price(row.backend, row.model, row.answered, row.tier or None) for row in rows}
    assert list(known) == ["openai gpt-5", "openai gpt-5 [flex]", "openai gpt-5 [scale]"]
    bill = {row.tier: (row.calls, row.usd and Decimal(row.usd)) for row in priced(rows, known)}
    assert bill == {"": (1, Decimal("1.25")), "flex": (2, Decimal("1.25")), "scale": (1, None)}
    assert prices.cost(None, {"web_search": 1}) is None
