"""The baseline: the committed use of LLM calls by each test. It contains no prices."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from pytest_llmmetrics.bill.documents import line
from pytest_llmmetrics.bill.report import SCHEMA, price_key
from pytest_llmmetrics.bill.rows import Count, Row, added

ACTS = ("create", "fix", "trim")


class Baseline(BaseModel):
    """The committed rows. `prices` are digests by `price_key`: they show whether a price has changed since."""

    model_config = ConfigDict(extra="forbid")

    schema_: Literal[1] = Field(default=1, alias="schema")
    book: str = ""
    estimator: Count = 0
    """The oldest version of the estimator that made an estimate in it; 0: unknown."""
    prices: dict[str, str] = {}
    sellers: dict[str, str | None] = {}
    rows: list[Row] = []

    def by_test(self) -> dict[str, list[Row]]:
        """Return the rows by test."""
        return by_test(self.rows)

    def text(self) -> str:
        """Return the document: sorted, one line per row, so that the changes of two branches merge."""
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
    """The tests whose rows in a baseline were created, fixed or trimmed, by id."""

    created: list[str]
    fixed: list[str]
    trimmed: list[str]


def by_test(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Group rows by test."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.test, []).append(row)
    return groups


def plain(rows: Iterable[Row]) -> list[Row]:
    """Return rows as a baseline has them, without cost."""
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
    """Apply these acts to a baseline. Tests that did not run, or did not pass, keep their rows.

    `create` adds new tests, `fix` rewrites tests of the baseline, `trim` removes tests that no longer exist.
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
