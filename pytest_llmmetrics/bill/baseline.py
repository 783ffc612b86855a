"""The baseline: the committed use of LLM calls by each test. It contains no prices."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pytest_llmmetrics.bill import slots
from pytest_llmmetrics.bill.asking.side import Count
from pytest_llmmetrics.bill.documents import line
from pytest_llmmetrics.bill.report import SCHEMA, price_key
from pytest_llmmetrics.bill.rows import Row, added, alike

ACTS = ("create", "fix", "trim")


class Baseline(BaseModel):
    """The committed rows. `prices` are digests by `price_key`: they show whether a price has changed since."""

    model_config = ConfigDict(extra="forbid")

    schema_: Literal[1, 2] = Field(default=SCHEMA, alias="schema")
    """1: without the asked side; it is read, and `create` or `fix` writes it again."""
    book: str = ""
    estimator: Count = 0
    """The oldest version of the estimator that made an estimate in it; 0: unknown."""
    prices: dict[str, str] = {}
    sellers: dict[str, str | None] = {}
    rows: list[Row] = []

    @model_validator(mode="before")
    @classmethod
    def _out_of_slots(cls, fields: Any) -> Any:
        if not isinstance(fields, dict) or not isinstance(fields.get("rows"), dict):
            return fields
        priced = [each for each in slots.entries(fields.get("prices")) if isinstance(each, dict)]
        return {
            **fields,
            "rows": slots.entries(fields.get("rows")),
            "prices": {each.get("price"): each["digest"] for each in priced if "digest" in each},
            "sellers": {each.get("backend"): each.get("seller") for each in priced if "seller" in each},
        }

    def by_test(self) -> dict[str, list[Row]]:
        """Return the rows by test."""
        return by_test(self.rows)

    @property
    def old(self) -> bool:
        """Whether rows have no asked side, because an older version has written them."""
        return is_old(self.rows)

    def text(self) -> str:
        """Return the document: see `slots`. What may change on two branches stands apart: no two such lines touch."""
        priced = {}
        for row in self.rows:
            key = price_key(row)
            digest = {"digest": self.prices[key]} if key in self.prices else {}
            seller = {"seller": self.sellers[row.backend]} if row.backend in self.sellers else {}
            priced[key] = {"price": key, **digest, "backend": row.backend, **seller}
        rows = sorted(self.rows, key=lambda row: row.key)
        return "\n".join(
            [
                "{",
                f'"schema": {SCHEMA},',
                f'"book": {line(self.book)},',
                *slots.written("prices", slots.PRICES, sorted(priced.items())),
                *slots.written("rows", slots.ROWS, ((row.test, row.plain()) for row in rows)),
                f'"estimator": {self.estimator}',
                "}",
                "",
            ]
        )


class Changes(NamedTuple):
    """The tests whose rows in a baseline were created, fixed or trimmed, by id."""

    created: list[str]
    fixed: list[str]
    trimmed: list[str]
    upgraded: list[str]
    """Their rows have the asked side now; nothing else in them has changed."""


def by_test(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Group rows by test."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.test, []).append(row)
    return groups


def is_old(rows: Iterable[Row]) -> bool:
    """Tell whether these rows have no asked side, because an older version has written them."""
    return any(row.calls and row.asked is None for row in rows)


def same(before: Sequence[Row], after: Sequence[Row]) -> bool:
    """Tell whether rows are equal, in what both sides know."""
    if alike(before, after):
        return True
    was, now = added(before), added(after)
    if is_old(was):
        unknown = {"asked": None, "stale": 0, "scripted": 0}
        was, now = ([row.model_copy(update=unknown) for row in side] for side in (was, now))
    return was == now


def amended(
    old: Baseline,
    acts: Collection[str],
    measured: Mapping[str, list[Row]],
    passed: Collection[str],
    vanished: Collection[str],
    *,
    header: Baseline,
) -> tuple[Baseline, Changes]:
    """Apply these acts to a baseline. Tests that did not run, or did not pass, keep their rows.

    `create` adds new tests, `fix` rewrites tests of the baseline, `trim` removes tests that no longer exist.
    """
    rows = old.by_test()
    changes = Changes([], [], [], [])
    other = old.estimator != header.estimator
    for test in sorted(passed):
        now = added(measured.get(test, ()))
        if test not in rows:
            if now and "create" in acts:
                rows[test] = now
                changes.created.append(test)
        elif {"create", "fix"} & set(acts) and is_old(rows[test]) > is_old(now) and same(rows[test], now):
            rows[test] = now
            changes.upgraded.append(test)
        elif "fix" in acts and (now != added(rows[test]) or (other and any(row.estimated or row.asked for row in now))):
            rows[test] = now
            changes.fixed.append(test)
    if "trim" in acts:
        for test in sorted(set(vanished) & set(rows)):
            del rows[test]
            changes.trimmed.append(test)
    if not any(changes) and old.rows:
        return old, changes
    kept = [row for each in rows.values() for row in each]
    used = set(map(price_key, kept))
    measured_again = {*changes.fixed, *changes.upgraded}
    left = {row.test for row in old.rows if row.estimated or row.asked} & rows.keys() - measured_again
    sellers = {**old.sellers, **header.sellers}
    new = Baseline(
        book=header.book,
        # an estimate that was not measured again may be of the old version
        estimator=old.estimator if left else header.estimator,
        prices={key: digest for key, digest in {**old.prices, **header.prices}.items() if key in used},
        sellers={name: sellers[name] for name in {row.backend for row in kept} if name in sellers},
        rows=kept,
    )
    return new, changes


def unchanged(acts: Collection[str], old: Baseline, calling: Collection[str], passed: Collection[str]) -> str:
    """Say why these acts did not change a baseline; empty: it agrees with the measured calls.

    `calling` are the tests that made calls, `passed` those whose rows may be written.
    """
    if not {"create", "fix"} & set(acts):
        return ""
    if not calling:
        return "no test made an LLM call (calls of fixtures do not count)"
    if not set(calling) & set(passed):
        return "no test that made LLM calls passed"
    if set(calling) & set(passed) - old.by_test().keys():
        return "the tests that made LLM calls are not in the file: --llm-baseline=create adds them"
    if "fix" not in acts:
        return "the tests that made LLM calls are already in the file: --llm-baseline=fix rewrites those that changed"
    return ""
