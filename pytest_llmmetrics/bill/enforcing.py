"""Fails a test whose LLM calls exceed `@pytest.mark.llm_limit`, with or without the options that meter a session.

The calls of a test are those that begin while its own code runs, on any thread, as in the summary of `--llm-metrics`.
"""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterable
from typing import Any

import pytest

from llmmetrics.testing import CallRecord, observe
from llmmetrics.testing.harness import Unpriced, metering, meters
from llmmetrics.testing.prices import Price, PriceBook
from pytest_llmmetrics.bill.allowances import Allowance, LimitMarkerError, allowance_of, over
from pytest_llmmetrics.bill.figures import Figures, figures, money
from pytest_llmmetrics.bill.owners import Owner, named, owners_of
from pytest_llmmetrics.bill.rows import Row, packed, rows_of, unpacked
from pytest_llmmetrics.hooks import refuse

NAMES = ("llm_limit", "llm_budget")
"""The marker, and its deprecated name."""

ALLOWANCE = pytest.StashKey[Allowance]()
_NAME = "llmmetrics-limits"


def prepare(config: pytest.Config, items: Iterable[pytest.Item]) -> None:
    """Have the tests that the marker is on keep their limits. A marker that cannot be read is its test's error."""
    for item in items:
        # the new name first: it is what holds where both are given
        mark = next(filter(None, map(item.get_closest_marker, NAMES)), None)
        if mark is None:
            continue
        try:
            item.stash[ALLOWANCE] = allowance_of(mark.name, mark.args, mark.kwargs)
        except LimitMarkerError as exc:
            refuse(item, f"@pytest.mark.{exc}")
    if not config.pluginmanager.has_plugin(_NAME):
        config.pluginmanager.register(Limits(config), _NAME)


def exceeded(config: pytest.Config) -> dict[str, str]:
    """The tests that failed by their limits, and what they exceeded."""
    limits = config.pluginmanager.get_plugin(_NAME)
    return limits.exceeded if isinstance(limits, Limits) else {}


class Limits:
    """The plugin object of a session with limited tests."""

    def __init__(self, config: pytest.Config) -> None:
        self.exceeded: dict[str, str] = {}
        self._owners = owners_of(config)
        self._book = PriceBook()
        self._meter = Unpriced()
        self._seen: list[tuple[Owner, tuple[Any, ...]]] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        if ALLOWANCE not in item.stash:
            return (yield)
        # around the fixtures: a meter that one of them brings counts the calls, and this one what is left
        with observe(self._told), metering(self._meter):
            try:
                return (yield)
            finally:
                self._seen.clear()

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if ALLOWANCE in item.stash and item.get_closest_marker("llm_limit") is None:
            item.warn(
                pytest.PytestDeprecationWarning(
                    "@pytest.mark.llm_budget is now @pytest.mark.llm_limit, with the same arguments: the old name goes "
                    "with the next release"
                )
            )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        self.exceeded.pop(item.nodeid, None)
        result = yield
        if (allowance := item.stash.get(ALLOWANCE, None)) is not None:
            self._judge(item, allowance)
        return result

    def _told(self, record: CallRecord) -> None:
        self._book.learn(record)
        self._seen.append((named(record.owner), packed(record)))

    def _judge(self, item: pytest.Item, allowance: Allowance) -> None:
        every = [self._meter.engine, *meters()]
        if any(meter.in_flight for meter in every):
            # an answer that is held by a cycle alone is a call that has ended
            gc.collect()
        for meter in every:
            meter.flush()
        owner = self._owners.owner_of(item)
        rows = rows_of(item.nodeid, [unpacked(each) for whose, each in self._seen if whose == owner], self._book)
        spent = figures(rows, self._price_of)
        unknown = sorted(
            {f"{row.model} at {row.backend}" for row in rows if figures([row], self._price_of).cost.unknown}
        )
        if found := over(allowance, spent, unknown):
            self.exceeded[item.nodeid] = "; ".join(found)
            pytest.fail(_message(found, spent), pytrace=False)

    def _price_of(self, row: Row) -> Price | None:
        return self._book.price(row.backend, row.model, row.answered or None, row.tier or None)


def _message(found: Iterable[str], spent: Figures) -> str:
    estimated = f" ({spent.estimated_tokens:,} estimated)" if spent.estimated_tokens else ""
    total = (
        f"spent: {spent.calls:,} calls, {spent.attempts:,} attempts, {spent.tokens:,} tokens{estimated}, "
        f"{money(spent.cost)}. If this is meant, raise the marker's limit"
    )
    return "\n".join([*(f"over @pytest.mark.llm_limit: {each}" for each in found), total])
