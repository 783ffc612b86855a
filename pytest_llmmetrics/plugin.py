"""The pytest plugin: hooks only. What a hook needs is imported when something of ours is used."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from pytest_llmmetrics import options
from pytest_llmmetrics.fixtures import (
    FAILED,
    PROBE,
    llm_budget,
    llm_budget_ledger,
    llm_clock,
    llm_fault,
    llm_meter,
    llm_metrics,
    llm_provider,
    llm_server,
    llm_settings,
)

__all__ = [
    "llm_budget",
    "llm_budget_ledger",
    "llm_clock",
    "llm_fault",
    "llm_meter",
    "llm_metrics",
    "llm_provider",
    "llm_server",
    "llm_settings",
]

SIMULATING = frozenset({"llm_provider", "llm_server", "llm_fault"})
"""A test that uses one of these fixtures reaches no LLM host."""


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    for marker in options.MARKERS:
        config.addinivalue_line("markers", marker)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("llm_faults")
    if "llm_fault" not in metafunc.fixturenames:
        if marker is not None:
            pytest.fail("@pytest.mark.llm_faults needs the fixture llm_fault among the test's arguments", pytrace=False)
        return
    from pytest_llmmetrics.faults import chosen

    try:
        given = {} if marker is None else options.arguments(marker, ("only", "exclude"))
        faults = chosen(**given)
    except ValueError as exc:
        pytest.fail(str(exc), pytrace=False)
    metafunc.parametrize("llm_fault", faults, ids=[each.name for each in faults], indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if not _simulates(item):
        return (yield)
    from pytest_llmmetrics.network import denied

    with denied() as tried:
        item.stash[_TRIED] = tried
        return (yield)


_TRIED = pytest.StashKey[list[str]]()


def _simulates(item: pytest.Item) -> bool:
    how = item.config.getoption("llm_network", "auto")
    return how == "deny" or (how == "auto" and not SIMULATING.isdisjoint(getattr(item, "fixturenames", ())))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    yield
    # an SDK may have swallowed the exception and tried again
    if tried := item.stash.get(_TRIED, None):
        from pytest_llmmetrics.network import sentence

        pytest.fail(sentence(tried[0]), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "call" and report.failed:
        item.stash[FAILED] = True
        if (probe := item.stash.get(PROBE, None)) is not None:
            report.sections.append(("llm_metrics", probe.story()))
    return report
