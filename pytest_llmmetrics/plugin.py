"""The pytest plugin: hooks only. What a hook needs is imported when something of ours is used."""

from __future__ import annotations

import pytest

from pytest_llmmetrics import bill_options, options
from pytest_llmmetrics.fixtures import (
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


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add(parser)
    bill_options.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    for marker in (*options.MARKERS, *bill_options.MARKERS):
        config.addinivalue_line("markers", marker)
    if config.getoption("llm_network", "auto") == "deny":
        from pytest_llmmetrics.hooks import Denies

        config.pluginmanager.register(Denies(), "llmmetrics-denies")
    if bill_options.wanted(config):
        from pytest_llmmetrics import session

        session.start(config)


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
