"""The report of one session: what it measured and at which prices, as one JSON document."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from llmmetrics.testing import prices
from llmmetrics.testing.prices import Price
from pytest_llmmetrics.bill.figures import cost_of
from pytest_llmmetrics.bill.modes import Mode
from pytest_llmmetrics.bill.rows import Count, Money, Row, added

SCHEMA = 1


class Priced(Row):
    """A row with what it costs. None: no price is known."""

    usd: Money | None = None
    estimated_usd: Money | None = None


class Rates(BaseModel):
    """A price: USD for a million of each bucket, and what holds for prompts over so many tokens."""

    model_config = ConfigDict(extra="forbid")

    usd: dict[str, Money]
    over: list[tuple[int, dict[str, Money]]] = []


class Reason(BaseModel):
    """Why a session says less than it seems to."""

    model_config = ConfigDict(extra="forbid")

    test: str = ""
    """Empty: the session as a whole."""
    what: str


class Gate(BaseModel):
    """What the rows are to be compared with, and how: the verdict follows from it."""

    model_config = ConfigDict(extra="forbid")

    agreed: list[Row] | None = []
    """The baseline in the work tree; None where it cannot be read, so that nothing can be judged."""
    base: list[Row] | None = None
    """The baseline at the merge base, where it was asked for and is there."""
    estimates: bool = True
    """Whether estimated tokens are compared: not with those of another version of the estimator."""
    limits: list[str] = []
    mode: Mode = "block"
    accepted: Mode = "report"
    inconclusive: Mode = "block"
    drift: list[str] = []
    notices: list[str] = []


class Report(BaseModel):
    """What the LLM calls of one session, or of the shards of one, were and cost."""

    model_config = ConfigDict(extra="forbid")

    schema_: Literal[1] = Field(default=1, alias="schema")
    book: str
    """The price book's version."""
    estimator: Count = 0
    """The estimator's version; 0: nobody says."""
    priced_at: str
    """The moment whose prices hold, ISO 8601."""
    sellers: dict[str, str | None] = {}
    """Under which id the catalogue knows each backend."""
    prices: dict[str, Rates] = {}
    """By backend and model: see `price_key`."""
    tests: dict[str, str] = {}
    """Every test that ran, with its outcome."""
    rows: list[Priced] = []
    beside: list[Priced] = []
    """Calls of fixtures and of the session: no test's own."""
    reruns: list[Priced] = []
    """Calls of runs that were run again: the last run counts."""
    doubts: list[Reason] = []
    gate: Gate | None = None
    _prices: dict[str, Price | None] = PrivateAttr(default_factory=dict)

    def price_of(self, row: Row) -> Price | None:
        """The price of a row's model, or None when nobody knows it."""
        key = price_key(row)
        if key not in self._prices:
            found = self.prices.get(key)
            self._prices[key] = None if found is None else prices.price_of(found.model_dump())
        return self._prices[key]

    @property
    def passed(self) -> list[str]:
        """The tests that ran and passed: those that a gate judges."""
        return [test for test, outcome in self.tests.items() if outcome == "passed"]

    def text(self) -> str:
        """The document."""
        said = self.model_dump(mode="json", by_alias=True, exclude_defaults=True) | {"schema": SCHEMA}
        return json.dumps(said, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def price_key(row: Row) -> str:
    """What a price is known under: the backend, the model asked for and, where they say more, who answered and how."""
    names = (row.backend, row.model, *((row.answered,) if row.answered not in {"", row.model} else ()))
    return " ".join((*names, f"[{row.tier}]") if row.tier else names)


def priced(rows: Iterable[Row], price_of: Mapping[str, Price | None]) -> list[Priced]:
    """The rows with their cost, sorted, those of one key made one."""
    return [_priced(row, price_of.get(price_key(row))) for row in added(rows)]


def _priced(row: Row, price: Price | None) -> Priced:
    cost = cost_of(row, price)
    values: dict[str, Any] = {name: getattr(row, name) for name in Row.model_fields}
    if not cost.unknown:
        values["usd"] = f"{prices.dollars(cost.known):f}"
        values["estimated_usd"] = f"{prices.dollars(cost.estimated):f}" if row.estimated else None
    return Priced(**values)


def digests(report: Report) -> dict[str, str]:
    """Short names of the report's prices."""
    return {key: prices.digest(prices.price_of(rates.model_dump())) for key, rates in report.prices.items()}
