"""Builds reports for tests."""

from __future__ import annotations

from llmmetrics.testing import prices
from llmmetrics.testing.prices import PriceBook
from pytest_llmmetrics.bill.judging.limits import DEFAULTS
from pytest_llmmetrics.bill.report import Gate, Rates, Reason, Report, price_key, priced
from pytest_llmmetrics.bill.rows import Row

SELLERS = {"openai": "openai", "anthropic": "anthropic", "google": "google", "house": "local"}


BACKENDS = {"claude": "anthropic", "gemini": "google", "house": "house"}


def row(test: str, model: str = "gpt-4o-mini", calls: int = 1, **more) -> Row:
    """Make a test's row; by default each call has 120 prompt and 8 completion tokens."""
    backend = BACKENDS.get(model.partition("-")[0], "openai")
    counts = {"calls": calls, "attempts": calls, "tokens": {"input": 120 * calls, "output": 8 * calls}}
    return Row(test=test, backend=backend, model=model, answered=model, **{**counts, **more})


def report(rows, *, agreed=None, outside=(), reruns=(), doubts=(), tests=None, **gate) -> Report:
    book = PriceBook()
    book.learn_known({"sellers": SELLERS})
    every = [*rows, *(agreed or ()), *outside, *reruns, *(gate.get("base") or ())]
    known = {price_key(each): book.price(each.backend, each.model, each.answered) for each in every}
    return Report(
        schema=2,
        book="genai-prices 1.2.3",
        priced_at="2026-11-24T12:00:00Z",
        sellers=SELLERS,
        prices={key: Rates.model_validate(prices.plain(price)) for key, price in known.items() if price},
        tests=tests if tests is not None else {each.test: "passed" for each in (*rows, *(agreed or ()))},
        rows=priced(rows, known),
        outside=priced(outside, known),
        reruns=priced(reruns, known),
        doubts=list(doubts),
        gate=None if agreed is None else Gate(agreed=agreed, **{"limits": list(DEFAULTS), **gate}),
    )


def rich() -> Report:
    names = [
        "tests/test_support.py::test_refund_is_explained[late parcel]",
        "tests/test_support.py::test_refund_is_explained[damaged]",
        "tests/search/test_rerank.py::TestRerank::test_order_is_kept_for_equal_scores",
        "tests/test_summary.py::test_long_review",
        "tests/test_summary.py::test_short_review",
        "tests/agents/test_planner.py::test_plans_a_trip_with_three_tools_and_a_very_long_name_that_wraps_twice",
        "tests/test_translate.py::test_keeps_numbers",
        "tests/test_translate.py::test_markup <b>&amp;</b>",
    ]
    agreed = [
        row(names[0], "gpt-4o", 2, tokens={"input": 2400, "cache_read": 2048, "output": 310}),
        row(names[1], "gpt-4o", 1, tokens={"input": 1900, "output": 150}),
        row(names[2], "gpt-4o-mini", 4, tokens={"input": 9000, "output": 400}),
        row(names[3], "claude-sonnet-4-5", 1, tokens={"input": 3200, "cache_write": 1200, "output": 500}),
        row(names[4], "claude-sonnet-4-5", 1, tokens={"input": 700, "output": 90}),
        row(names[5], "o3-mini", 3, tokens={"input": 4100, "output": 600, "reasoning": 2900}),
        row(names[6]),
        row(names[7], "house-7b"),
    ]
    rows = [
        row(names[0], "gpt-4o", 2, tokens={"input": 4448, "output": 310}),
        row(names[1], "gpt-4o-mini", 1, tokens={"input": 1900, "output": 150}),
        row(names[2], "gpt-4o-mini", 4, attempts=6, errors={"rate_limit": 2}, tokens={"input": 9000, "output": 400}),
        row(names[3], "claude-sonnet-4-5", 1, tokens={"input": 3200, "cache_write": 1200, "output": 500}),
        row(
            names[4],
            "claude-sonnet-4-5",
            2,
            tokens={"input": 1400, "output": 180},
            estimated={"input": 700, "output": 40},
        ),
        row(names[5], "o3-mini", 3, tokens={"input": 4100, "output": 600, "reasoning": 2900}),
        row(names[6], tokens={"input": 122, "output": 8}),
        row(names[7], "house-7b"),
    ]
    return report(
        rows,
        agreed=agreed,
        outside=[row("<fixture tests/conftest.py::index>", "gpt-4o-mini")],
        reruns=[row(names[6])],
        drift=["the price of openai gpt-4o has changed since the baseline was written"],
        notices=["in the baseline and no longer tests (--llm-baseline=trim): tests/test_old.py::test_gone"],
        doubts=[
            Reason(
                test=names[3],
                what="a replayed answer was recorded for a different request (messages[0].content differs): record its cassette again",
            )
        ],
    )
