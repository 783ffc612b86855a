"""Hooks that a fixture or an option registers when it is used."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_llmmetrics.probe import LlmMetrics

PROBE: pytest.StashKey[LlmMetrics] = pytest.StashKey()
"""The probe of a test that uses `llm_metrics`."""
FAILED = pytest.StashKey[bool]()
"""Whether the test's own code has failed."""


class Reports:
    """Adds the calls and the changed series to the report of a failing test."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.when == "call" and report.failed:
            item.stash[FAILED] = True
            if (probe := item.stash.get(PROBE, None)) is not None:
                report.sections.append(("llm_metrics", probe.story()))
        return report


class Denies:
    """`--llm-network=deny`: fails a test that opens a connection to an LLM host."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None]:
        from pytest_llmmetrics.network import denied, sentence

        with denied() as tried:
            yield
        if tried:
            pytest.fail(sentence(tried[0]), pytrace=False)


class Refusals:
    """Fails a test with an invalid marker before any of its fixtures runs."""

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if message := item.stash.get(_REFUSED, ""):
            pytest.fail(message, pytrace=False)


def refuse(item: pytest.Item, message: str) -> None:
    """Fail this test with this message, before its fixtures run."""
    item.stash[_REFUSED] = message
    if not item.config.pluginmanager.has_plugin(_REFUSALS):
        item.config.pluginmanager.register(Refusals(), _REFUSALS)


_REFUSED = pytest.StashKey[str]()
_REFUSALS = "llmmetrics-refusals"
