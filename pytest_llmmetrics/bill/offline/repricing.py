"""Prices the same tokens on another model. Pure, except for the price catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from llmmetrics.testing.prices import Price, PriceBook
from pytest_llmmetrics.bill.documents import DocumentError
from pytest_llmmetrics.bill.figures import Cost, cost_of
from pytest_llmmetrics.bill.report import Report
from pytest_llmmetrics.bill.rows import Row


class Repriced(NamedTuple):
    """The cost of one test, before and after."""

    before: Cost
    after: Cost


def repriced(report: Report, models: Mapping[str, str]) -> dict[str, Repriced]:
    """Return every test's cost on these models. The number of tokens stays, although models split text differently.

    Raises `DocumentError` for a model that no row has, or that has no known price.
    """
    book = PriceBook()
    there = {name for row in report.rows for name in (row.model, row.answered) if name}
    for old, new in models.items():
        if old not in there:
            raise DocumentError(
                f"the report has no call to {old!r}: its models are {', '.join(sorted(there)) or 'none'}"
            )
        if _price(book, new) is None:
            raise DocumentError(f"no price is known for {new!r}: write the model's name as the price catalogue does")
    costs: dict[str, Repriced] = {}
    for row in report.rows:
        other = models.get(row.model) or models.get(row.answered)
        before = cost_of(row, report.price_of(row))
        after = before if other is None else cost_of(_unwired(row), _price(book, other))
        was = costs.get(row.test, Repriced(Cost(), Cost()))
        costs[row.test] = Repriced(was.before + before, was.after + after)
    return costs


def _price(book: PriceBook, model: str) -> Price | None:
    return book.price("", model)


def _unwired(row: Row) -> Row:
    """Return a row without what only the old model's provider says: the cost in the answer, and billed units."""
    tokens = {**row.tokens}
    for name, n in (*row.wire_tokens.items(), *row.counted.items()):
        tokens[name] = tokens.get(name, 0) + n
    gone: dict[str, object] = {"wire_tokens": {}, "wire_usd": None, "counted": {}, "billed": {}}
    return row.model_copy(update={"tokens": tokens, **gone})
