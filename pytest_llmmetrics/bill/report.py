"""The report of one session: its rows and their prices, as one JSON document."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from llmmetrics.testing import prices
from llmmetrics.testing.prices import Price
from pytest_llmmetrics.bill.asking.side import Count
from pytest_llmmetrics.bill.figures import asked_price, cost_of
from pytest_llmmetrics.bill.modes import Mode
from pytest_llmmetrics.bill.rows import Money, Remarks, Repeat, Row, added

SCHEMA: Literal[2] = 2


class Priced(Row):
    """A row with its cost in USD. None: no price is known."""

    usd: Money | None = None
    estimated_usd: Money | None = None


class Rates(BaseModel):
    """A price: USD per million tokens of each bucket, and the prices for prompts over a number of tokens."""

    model_config = ConfigDict(extra="forbid")

    usd: dict[str, Money]
    over: list[tuple[int, dict[str, Money]]] = []


class Reason(BaseModel):
    """Why a result is uncertain."""

    model_config = ConfigDict(extra="forbid")

    test: str = ""
    """Empty: the whole session."""
    what: str


class Gate(BaseModel):
    """What the rows are compared with, and how: it determines the verdict."""

    model_config = ConfigDict(extra="forbid")

    agreed: list[Row] | None = []
    """The baseline in the work tree; None: it cannot be read, so nothing is judged."""
    base: list[Row] | None = None
    """The baseline at the merge base; None: not asked for, or it does not exist."""
    estimates: bool = True
    """Whether estimated tokens are compared: not if another version of the estimator made theirs."""
    limits: list[str] = []
    mode: Mode = "block"
    accepted: Mode = "report"
    inconclusive: Mode = "block"
    new_limits: list[str] = []
    """The absolute limits of new tests."""
    gone: list[str] = []
    """The tests of the baselines that do not exist any more."""
    drift: list[str] = []
    notices: list[str] = []


class Report(BaseModel):
    """The LLM calls of one session, or of its shards, and their cost."""

    model_config = ConfigDict(extra="forbid")

    schema_: Literal[1, 2] = Field(default=SCHEMA, alias="schema")
    book: str
    """The price book's version."""
    estimator: Count = 0
    """The estimator's version; 0: unknown."""
    priced_at: str
    """The time of the prices, ISO 8601."""
    sellers: dict[str, str | None] = {}
    """The catalogue's id of each backend."""
    prices: dict[str, Rates] = {}
    """By backend and model: see `price_key`."""
    tests: dict[str, str] = {}
    """The outcome of every test that ran."""
    rows: list[Priced] = []
    outside: list[Priced] = []
    """Calls outside of tests: those of fixtures and of the session."""
    reruns: list[Priced] = []
    """Calls of earlier runs of a test that was run again: only the last run counts."""
    tags: list[Priced] = []
    """The calls of `rows` by tag: in place of a test, a row has a tag, as in `tenant=acme`."""
    doubts: list[Reason] = []
    remarks: dict[str, Remarks] = {}
    """By test: what its requests say of the prompt cache."""
    repeats: dict[str, Repeat] = {}
    """By test that was run several times (`llm_repeat`): its row is that of the median run, and this is the range."""
    windows: dict[str, Count] = {}
    """By `price_key`: the most tokens that a model can read and write."""
    gate: Gate | None = None
    _prices: dict[str, Price | None] = PrivateAttr(default_factory=dict)

    def price_of(self, row: Row) -> Price | None:
        """Return the price of a row's model; None: unknown."""
        key = price_key(row)
        if key not in self._prices:
            rates = self.prices.get(key)
            self._prices[key] = None if rates is None else prices.price_of(rates.model_dump())
        return self._prices[key]

    def window_of(self, row: Row) -> int | None:
        """Return the context window of the model that a row asks for, in tokens; None: unknown."""
        return self.windows.get(price_key(asked_price(row)))

    @property
    def passed(self) -> list[str]:
        """The tests that ran and passed: the gate judges these."""
        return [test for test, outcome in self.tests.items() if outcome == "passed"]

    def text(self) -> str:
        """Return the document."""
        document = self.model_dump(mode="json", by_alias=True, exclude_defaults=True) | {"schema": SCHEMA}
        return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def price_key(row: Row) -> str:
    """Return the key of a row's price: backend, requested model, and the answering model and tier if they differ."""
    names = (row.backend, row.model, *((row.answered,) if row.answered not in {"", row.model} else ()))
    return " ".join((*names, f"[{row.tier}]") if row.tier else names)


def priced(rows: Iterable[Row], price_of: Mapping[str, Price | None]) -> list[Priced]:
    """Return the rows with their cost, sorted; rows of one key are summed."""
    return [_priced(row, price_of.get(price_key(row))) for row in added(rows)]


def _priced(row: Row, price: Price | None) -> Priced:
    cost = cost_of(row, price)
    values: dict[str, Any] = {name: getattr(row, name) for name in Row.model_fields}
    if not cost.unknown:
        values["usd"] = f"{prices.dollars(cost.known):f}"
        values["estimated_usd"] = f"{prices.dollars(cost.estimated):f}" if row.estimated else None
    return Priced(**values)


def digests(report: Report) -> dict[str, str]:
    """Return a digest of each of the report's prices."""
    return {key: prices.digest(prices.price_of(rates.model_dump())) for key, rates in report.prices.items()}
