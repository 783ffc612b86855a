"""Hooks that only some runs need: registered when a fixture or an option asks for them."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from pytest_llmmetrics.fixtures import CASSETTE, FAILED, PROBE


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


class Concludes:
    """A test with a cassette answers for it when its own code has ended."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None]:
        if (played := item.stash.get(CASSETTE, None)) is None:
            return (yield)
        from pytest_llmmetrics.cassettes import conclude

        try:
            yield
        except BaseException as exc:
            conclude(played, exc)
            raise
        conclude(played, None)
