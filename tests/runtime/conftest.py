"""A provider on loopback and a meter on a registry of its own."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from support.budget_setup import Setup
from support.samples import samples
from support.sdks import TYPES

from llmmetrics import Meter
from llmmetrics.testing import serve

OWN = {"CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 2}


def settings(url: str) -> dict:
    """One backend for each of the provider's formats and dialects, told apart by the path of its BaseUrl."""
    return {
        "Backends": [{"Name": name, "Type": kind, "BaseUrl": f"{url}/{name}", **OWN} for name, kind in TYPES.items()]
    }


@pytest.fixture
def provider():
    with serve() as running:
        yield running


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def meter(registry, provider):
    return Meter.from_settings(settings(provider.url), registry=registry)


@pytest.fixture
def limited(registry, provider):
    """A meter each of whose backends may spend a millionth of a dollar, which any call does."""
    made = settings(provider.url)
    for backend in made["Backends"]:
        backend["MaxSpendUsd"] = "0.000001"
    meter = Meter.from_settings({**made, "Budget": {"Ledger": "memory://"}}, registry=registry)
    yield meter
    meter.close()


@pytest.fixture
def count(registry):
    """The sum of the samples of this name that have these labels."""

    def value(name: str, **labels: str) -> float:
        return sum(samples(registry, name, **labels))

    return value


@pytest.fixture
def counted(count):
    """Every request that was counted, by status, and what is still active."""

    def requests() -> dict[str, float]:
        statuses = ("success", "failure", "timeout", "cancelled")
        found = {status: count("llm_requests_total", status=status) for status in statuses}
        assert count("llm_active_requests") == 0
        assert count("llm_request_duration_seconds_count") == sum(found.values())
        assert count("llmmetrics_internal_errors_total") == 0
        return {status: n for status, n in found.items() if n}

    return requests


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Setups that are closed at the end; the state of this user is a temporary directory."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    every = []

    def make(*args, **kwargs):
        every.append(Setup(*args, **kwargs))
        return every[-1]

    yield make
    for each in every:
        each.meter.close()
