"""Fails a test whose LLM calls exceed `@pytest.mark.llm_limit`, with and without the options that meter a session.

A test's calls are those that begin while its own code runs, on any thread, as in the summary of `--llm-metrics`.
"""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from llmmetrics import Meter, spending
from llmmetrics.testing import CallRecord, observe
from llmmetrics.testing.harness import Unpriced, metering, meters
from llmmetrics.testing.prices import Price, PriceBook
from pytest_llmmetrics.bill.figures import Figures, figures, money
from pytest_llmmetrics.bill.judging.allowances import Allowance, LimitMarkerError, allowance_of, over
from pytest_llmmetrics.bill.owners import Owner, named, owners_of
from pytest_llmmetrics.bill.rows import Row, packed, rows_of, unpacked
from pytest_llmmetrics.hooks import refuse

NAMES = ("llm_limit", "llm_budget")
"""The marker, and its deprecated name."""

ALLOWANCE = pytest.StashKey[Allowance]()
_NAME = "llmmetrics-limits"


def prepare(config: pytest.Config, items: Iterable[pytest.Item]) -> None:
    """Enforce the limits of the marked tests. An invalid marker fails its own test."""
    for item in items:
        # the new name first: it wins over the old one
        mark = next(filter(None, map(item.get_closest_marker, NAMES)), None)
        if mark is None:
            continue
        try:
            item.stash[ALLOWANCE] = allowance_of(mark.name, mark.args, mark.kwargs)
        except LimitMarkerError as exc:
            refuse(item, f"@pytest.mark.{exc}")
    if not config.pluginmanager.has_plugin(_NAME):
        config.pluginmanager.register(Limits(config), _NAME)


def exceeded(config: pytest.Config) -> dict[Owner, str]:
    """Return the runs of tests that exceeded their limits, with what they exceeded."""
    limits = config.pluginmanager.get_plugin(_NAME)
    return limits.exceeded if isinstance(limits, Limits) else {}


class Limits:
    """The plugin object of a session with limited tests."""

    def __init__(self, config: pytest.Config) -> None:
        self.exceeded: dict[Owner, str] = {}
        self._owners = owners_of(config)
        self._book = PriceBook()
        self._meter = Unpriced()
        self._seen: list[tuple[Owner, tuple[Any, ...]]] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        if ALLOWANCE not in item.stash:
            return (yield)
        # around the fixtures: a fixture's meter counts its calls, and this one counts the rest
        with observe(self._record), metering(self._priced if item.stash[ALLOWANCE].enforce else self._meter):
            try:
                return (yield)
            finally:
                self._seen.clear()

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if ALLOWANCE in item.stash and item.get_closest_marker("llm_limit") is None:
            item.warn(
                pytest.PytestDeprecationWarning(
                    "@pytest.mark.llm_budget is now @pytest.mark.llm_limit, with the same arguments: the next release "
                    "removes the old name"
                )
            )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        allowance = item.stash.get(ALLOWANCE, None)
        with _refusing(allowance) if allowance is not None and allowance.enforce else nullcontext():
            result = yield
        if allowance is not None:
            self._judge(item, allowance)
        return result

    def _record(self, record: CallRecord) -> None:
        self._book.learn(record)
        self._seen.append((named(record.owner), packed(record)))

    def _judge(self, item: pytest.Item, allowance: Allowance) -> None:
        every = [self._meter.engine, *meters()]
        if any(meter.in_flight for meter in every):
            # collect answers that are kept only by a cycle: their calls have ended
            gc.collect()
        for meter in every:
            meter.flush()
        owner = self._owners.owner_of(item)
        rows = rows_of(item.nodeid, [unpacked(each) for whose, each in self._seen if whose == owner], self._book)
        spent = figures(rows, self._price_of)
        unknown = sorted(
            {f"{row.model} at {row.backend}" for row in rows if figures([row], self._price_of).cost.unknown}
        )
        if excess := over(allowance, spent, unknown):
            self.exceeded[owner] = "; ".join(excess)
            pytest.fail(_message(excess, spent), pytrace=False)

    @cached_property
    def _priced(self) -> Meter:
        """Counts the calls of enforced tests that no other meter counts, with their prices."""
        return Meter(registry=CollectorRegistry())

    def _price_of(self, row: Row) -> Price | None:
        return self._book.price(row.backend, row.model, row.answered or None, row.tier or None)


@contextmanager
def _refusing(allowance: Allowance) -> Iterator[None]:
    """Refuse calls that come after a limit was reached. A run's calls are attempts on the wire."""
    calls = allowance.calls if allowance.attempts is None else allowance.attempts
    with spending(allowance.usd, calls=calls, tokens=allowance.tokens, mode="documented", scope="process") as run:
        run.name = "@pytest.mark.llm_limit"
        yield


def _message(excess: Iterable[str], spent: Figures) -> str:
    estimated = f" ({spent.estimated_tokens:,} estimated)" if spent.estimated_tokens else ""
    total = (
        f"used: {spent.calls:,} calls, {spent.attempts:,} attempts, {spent.tokens:,} tokens{estimated}, "
        f"{money(spent.cost)}. If this is intended, raise the limit of the marker"
    )
    return "\n".join([*(f"over @pytest.mark.llm_limit: {each}" for each in excess), total])
