"""The pytest plugin: hooks and fixtures. What a fixture needs is imported when the fixture is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_llmmetrics import options

if TYPE_CHECKING:
    from llmmetrics import Meter
    from pytest_llmmetrics.probe import Probe


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the bill and the gate."""
    options.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; meter the session, where that was asked for."""
    for marker in options.MARKERS:
        config.addinivalue_line("markers", marker)
    if options.wanted(config):
        from pytest_llmmetrics import session

        session.start(config)


@pytest.fixture
def llm_meter() -> Meter:
    """A meter on a registry of its own, without configured backends."""
    from prometheus_client import CollectorRegistry

    from llmmetrics import Meter

    return Meter(registry=CollectorRegistry())


@pytest.fixture
def llm_metrics(llm_meter: Meter) -> Probe:
    """What the series of `llm_meter`'s registry have changed by since the test's start."""
    from pytest_llmmetrics.probe import Probe

    return Probe(llm_meter.registry)
