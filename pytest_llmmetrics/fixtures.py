"""The fixtures. Each imports what it needs when a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llmmetrics.hooks import FAILED, PROBE, Reports
from pytest_llmmetrics.options import arguments

if TYPE_CHECKING:
    from llmmetrics import Meter
    from llmmetrics.testing import Fault
    from llmmetrics.testing.harness import Script
    from pytest_llmmetrics.budgets import LlmBudget
    from pytest_llmmetrics.cassettes.playing import LlmCassette
    from pytest_llmmetrics.clock import LlmClock
    from pytest_llmmetrics.probe import LlmMetrics
    from pytest_llmmetrics.provider import LlmProvider, LlmServer


@pytest.fixture
def llm_settings() -> Mapping[str, Any]:
    """The settings of `llm_meter`, as in a settings file. Override it to configure backends."""
    return {}


@pytest.fixture
def llm_meter(llm_settings: Mapping[str, Any]) -> Iterator[Meter]:
    """A meter with its own registry and the settings of `llm_settings`."""
    from prometheus_client import CollectorRegistry

    from llmmetrics import Meter

    meter = Meter.from_settings(llm_settings, registry=CollectorRegistry())
    yield meter
    meter.close()


@pytest.fixture
def llm_metrics(request: pytest.FixtureRequest, llm_meter: Meter) -> Iterator[LlmMetrics]:
    """The LLM calls of this test, and the counters that they changed. `llm_meter` meters calls without a meter."""
    from llmmetrics.testing.harness import metering
    from pytest_llmmetrics.probe import LlmMetrics
    from pytest_llmmetrics.series import watching

    with watching() as watcher, metering(llm_meter):
        _reporting(request.config)
        probe = LlmMetrics(watcher)
        request.node.stash[PROBE] = probe
        yield probe
        # pytest keeps items until the session ends: drop the probe, or it would keep the test's meters alive
        del request.node.stash[PROBE]


@pytest.fixture
def llm_provider(request: pytest.FixtureRequest) -> Iterator[LlmProvider]:
    """A simulated provider inside the client: answers every LLM request through an HTTP library from its script."""
    if "httpx_mock" in request.fixturenames:
        pytest.fail(
            "llm_provider and httpx_mock both answer httpx requests: use only one of them in a test", pytrace=False
        )
    from pytest_llmmetrics.provider import LlmProvider, answering

    script = LlmProvider()
    with _guarded(request, script), answering(script):
        yield script


@pytest.fixture
def llm_server(request: pytest.FixtureRequest) -> Iterator[LlmServer]:
    """A simulated provider on loopback HTTP, at `llm_server.url`, for other clients, processes and languages."""
    from pytest_llmmetrics.provider import served

    with served() as script, _guarded(request, script):
        yield script


@pytest.fixture
def llm_fault(request: pytest.FixtureRequest) -> Fault:
    """One of the faults that the marker `llm_faults` selects: the test runs once for each."""
    fault: Fault = request.param
    return fault


@pytest.fixture
def llm_clock() -> Iterator[LlmClock]:
    """The wall clock, which is frozen after the first `set`, `advance` or `to_next_reset`."""
    from pytest_llmmetrics.clock import clock

    with clock() as moved:
        yield moved


@pytest.fixture
def llm_budget_ledger() -> str:
    """Where `llm_budget` keeps the spend: `memory`, `sqlite` or a Redis URL. Override it to test with a real ledger."""
    return "memory"


@pytest.fixture
def llm_budget(llm_budget_ledger: str, request: pytest.FixtureRequest) -> Iterator[LlmBudget]:
    """Budget limits for the backends of this test's meters, in a private ledger."""
    from pytest_llmmetrics.budgets import budgets

    url = {"memory": "memory://"}.get(llm_budget_ledger, llm_budget_ledger)
    if url == "sqlite":
        url = f"sqlite:///{request.getfixturevalue('tmp_path')}/llm-budget.db"
    with budgets(url) as limits:
        yield limits


@pytest.fixture
def llm_cassette_dir() -> Path | None:
    """The directory of the test's cassettes. None: `cassettes/` next to the test, then in the root directory."""
    return None


@pytest.fixture
def llm_cassette(request: pytest.FixtureRequest, llm_cassette_dir: Path | None) -> Iterator[LlmCassette]:
    """The cassettes of `@pytest.mark.llm_cassette`, which answer the test's LLM calls. The marker alone is enough."""
    from pytest_llmmetrics.cassettes.joining import CASSETTE
    from pytest_llmmetrics.cassettes.playing import playing

    with playing(request.node, llm_cassette_dir) as played:
        request.node.stash[CASSETTE] = played
        yield played
        # pytest keeps items until the session ends
        del request.node.stash[CASSETTE]


def _reporting(config: pytest.Config) -> None:
    """Add the probe's calls to the report of a failing test. On first use, so that other suites pay nothing."""
    if not config.pluginmanager.has_plugin(_REPORTS):
        config.pluginmanager.register(Reports(), _REPORTS)


_REPORTS = "llmmetrics-reports"


@contextmanager
def _guarded(request: pytest.FixtureRequest, script: Script) -> Iterator[None]:
    """Deny connections to LLM hosts; at the end, fail the test for unscripted requests and unused replies."""
    _reporting(request.config)
    if request.config.getoption("llm_network", "auto") == "allow":
        with _strictly(request, script):
            yield
        return
    from pytest_llmmetrics.network import denied, sentence

    with _strictly(request, script), denied() as tried:
        yield
    if tried and not request.node.stash.get(FAILED, False):
        # an SDK may have swallowed the exception and retried
        pytest.fail(sentence(tried[0]), pytrace=False)


@contextmanager
def _strictly(request: pytest.FixtureRequest, script: Script) -> Iterator[None]:
    from pytest_llmmetrics.provider import complaints, lenient

    node, name = request.node, str(request.fixturename)
    strict = {"assert_all_requested": True, "assert_all_scripted": True}
    if (marker := node.get_closest_marker(name)) is not None:
        try:
            strict |= arguments(marker, tuple(strict))
        except ValueError as exc:
            pytest.fail(str(exc), pytrace=False)
    if not strict["assert_all_scripted"]:
        lenient(script)
    yield
    # a test that failed may have stopped before the end of its script
    requested = strict["assert_all_requested"] and not node.stash.get(FAILED, False)
    if problems := complaints(script, name, requested=requested, scripted=strict["assert_all_scripted"]):
        pytest.fail("\n".join(problems), pytrace=False)
