"""The pytest plugin: hooks and fixtures. What a fixture needs is imported when the fixture is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from llmmetrics import Meter
    from pytest_llmmetrics.probe import Probe


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
