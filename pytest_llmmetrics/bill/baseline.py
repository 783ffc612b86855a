"""The baseline: what the tests' LLM calls are allowed to be, committed beside them. It has no money in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from pytest_llmmetrics.bill.documents import line
from pytest_llmmetrics.bill.report import SCHEMA, price_key
from pytest_llmmetrics.bill.rows import Count, Row, added

ACTS = ("create", "fix", "trim")


class Baseline(BaseModel):
    """What was agreed on. `prices` are digests by `price_key`: they tell whether a price has changed since."""

    model_config = ConfigDict(extra="forbid")

    schema_: Literal[1] = Field(default=1, alias="schema")
    book: str = ""
    estimator: Count = 0
    """The version of the estimator that all estimates in it are at least of; 0: nobody says."""
    prices: dict[str, str] = {}
    sellers: dict[str, str | None] = {}
    rows: list[Row] = []

    def by_test(self) -> dict[str, list[Row]]:
        """Its rows by test."""
        return by_test(self.rows)

    def text(self) -> str:
        """The document: sorted, one line a row, so that two branches' changes merge."""
        head = {
            "schema": SCHEMA,
            "book": self.book,
            "estimator": self.estimator,
            "prices": self.prices,
            "sellers": self.sellers,
        }
        lines = [
            f'"{name}": {line(dict(sorted(it.items())) if isinstance(it, dict) else it)},' for name, it in head.items()
        ]
        rows = [line(row.plain()) for row in sorted(self.rows, key=lambda row: row.key)]
        return "\n".join(["{", *lines, '"rows": [', ",\n".join(rows), "]", "}", ""])


class Changes(NamedTuple):
    """What was done to a baseline: the ids of tests."""

    created: list[str]
    fixed: list[str]
    trimmed: list[str]


def by_test(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by test."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.test, []).append(row)
    return found


def plain(rows: Iterable[Row]) -> list[Row]:
    """Rows as a baseline holds them, without what they cost."""
    return [Row(**{name: getattr(row, name) for name in Row.model_fields}) for row in added(rows)]


def amended(
    old: Baseline,
    acts: Collection[str],
    measured: Mapping[str, list[Row]],
    passed: Collection[str],
    vanished: Collection[str],
    *,
    header: Baseline,
) -> tuple[Baseline, Changes]:
    """The baseline after these acts. Tests that did not run, or did not pass, keep their rows.

    `create` adds tests that it does not have, `fix` rewrites those that it has, `trim` drops those that are no more.
    """
    rows = old.by_test()
    changes = Changes([], [], [])
    other = old.estimator != header.estimator
    for test in sorted(passed):
        now = plain(measured.get(test, ()))
        if test not in rows:
            if now and "create" in acts:
                rows[test] = now
                changes.created.append(test)
        elif "fix" in acts and (now != plain(rows[test]) or (other and any(row.estimated for row in now))):
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
    left = {row.test for row in old.rows if row.estimated} & rows.keys() - set(changes.fixed)
    sellers = {**old.sellers, **header.sellers}
    new = Baseline(
        book=header.book,
        # what was estimated before, and has not been since, may be of the old version
        estimator=old.estimator if left else header.estimator,
        prices={key: digest for key, digest in {**old.prices, **header.prices}.items() if key in used},
        sellers={name: sellers[name] for name in {row.backend for row in kept} if name in sellers},
        rows=kept,
    )
    return new, changes


def unchanged(acts: Collection[str], old: Baseline, calling: Collection[str], passed: Collection[str]) -> str:
    """Why these acts left a baseline as it was, in words; empty: it agrees with what was measured.

    `calling` are the tests that made calls, `passed` those whose figures may be written.
    """
    if not {"create", "fix"} & set(acts):
        return ""
    if not calling:
        return "no test made an LLM call (a fixture's calls are not a test's)"
    if not set(calling) & set(passed):
        return "of the tests that made LLM calls, none passed"
    if set(calling) & set(passed) - old.by_test().keys():
        return "the tests that made LLM calls are not in it: --llm-baseline=create adds them"
    if "fix" not in acts:
        return "the tests that made LLM calls are in it already: --llm-baseline=fix rewrites those that changed"
    return ""
