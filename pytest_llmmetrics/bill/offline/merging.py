"""Merges the reports of a suite's shards. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_llmmetrics.bill.documents import DocumentError
from pytest_llmmetrics.bill.report import Gate, Priced, Report, price_key, priced
from pytest_llmmetrics.bill.rows import Row, added


def merged(shards: Sequence[tuple[str, Report]]) -> Report:
    """Merge the reports of all shards. Raises `DocumentError` for shards that do not belong together."""
    first_name, first = shards[0]
    whole = first.model_copy(deep=True)
    where = dict.fromkeys(first.tests, first_name)
    for name, shard in shards[1:]:
        if shard.book != whole.book:
            raise DocumentError(
                f"{name} was priced with {shard.book}, {first_name} with {whole.book}: install one version of "
                "genai-prices everywhere and run the shards again"
            )
        if shard.estimator != whole.estimator:
            raise DocumentError(
                f"{name} was estimated by version {shard.estimator}, {first_name} by version {whole.estimator}: "
                "install one version of llmmetrics everywhere and run the shards again"
            )
        for key, rates in shard.prices.items():
            if whole.prices.setdefault(key, rates) != rates:
                raise DocumentError(
                    f"{name} has another price of {key} than the shards before it: run all shards with the same prices"
                )
        for test, outcome in shard.tests.items():
            if test in where:
                raise DocumentError(f"{test} ran in {where[test]} and in {name}: run each test in one shard only")
            where[test] = name
            whole.tests[test] = outcome
        whole.sellers.update(shard.sellers)
        whole.remarks.update(shard.remarks)
        whole.repeats.update(shard.repeats)
        whole.windows.update(shard.windows)
        whole.priced_at = min(whole.priced_at, shard.priced_at)
        whole.doubts += [each for each in shard.doubts if each not in whole.doubts]
        whole.gate = _gates(whole.gate, shard.gate, name)
    for part in ("rows", "outside", "reruns", "tags"):
        every = [row for _, shard in shards for row in getattr(shard, part)]
        setattr(whole, part, _repriced(whole, every))
    whole.tests = dict(sorted(whole.tests.items()))
    whole.remarks = dict(sorted(whole.remarks.items()))
    whole.repeats = dict(sorted(whole.repeats.items()))
    if whole.gate is not None:
        # what one shard has not collected, another one has run
        whole.gate.gone = [test for test in whole.gate.gone if test not in whole.tests]
    return Report.model_validate_json(whole.text())


def _gates(one: Gate | None, other: Gate | None, name: str) -> Gate | None:
    if one is None or other is None:
        return None
    fields = ("agreed", "base", "estimates", "limits", "new_limits")
    if any(getattr(one, name) != getattr(other, name) for name in fields):
        raise DocumentError(
            f"{name} has a different baseline or limits than the shards before it: run all shards with the same"
        )
    drift = sorted({*one.drift, *other.drift})
    notices = list(dict.fromkeys((*one.notices, *other.notices)))
    gone = sorted({*one.gone, *other.gone})
    return one.model_copy(update={"drift": drift, "notices": notices, "gone": gone})


def _repriced(report: Report, rows: Sequence[Row]) -> list[Priced]:
    sums = added(rows)
    return priced(sums, {price_key(row): report.price_of(row) for row in sums})
