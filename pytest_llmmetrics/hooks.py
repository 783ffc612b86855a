"""Hooks that only some runs need: registered when a fixture or an option asks for them."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_llmmetrics.probe import LlmMetrics

PROBE: pytest.StashKey[LlmMetrics] = pytest.StashKey()
"""The probe of a test that has one."""
FAILED = pytest.StashKey[bool]()
"""Whether the test's own code has failed."""


class Reports:
    """A test that fails shows its calls, and the series that moved."""

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
    """`--llm-network=deny`: no test opens a connection to an LLM host."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None]:
        from pytest_llmmetrics.network import denied, sentence

        with denied() as tried:
            yield
        if tried:
            pytest.fail(sentence(tried[0]), pytrace=False)


class Refusals:
    """A test with a marker that cannot be read is an error before any of its fixtures runs."""

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if message := item.stash.get(_REFUSED, ""):
            pytest.fail(message, pytrace=False)


def refuse(item: pytest.Item, message: str) -> None:
    """Have this test alone end in an error, with this message."""
    item.stash[_REFUSED] = message
    if not item.config.pluginmanager.has_plugin(_REFUSALS):
        item.config.pluginmanager.register(Refusals(), _REFUSALS)


_REFUSED = pytest.StashKey[str]()
_REFUSALS = "llmmetrics-refusals"
