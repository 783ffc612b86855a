"""The fixtures. What a fixture needs is imported when the fixture is asked for."""

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
    """The settings of `llm_meter`, as the guide writes them: override it to configure backends."""
    return {}


@pytest.fixture
def llm_meter(llm_settings: Mapping[str, Any]) -> Iterator[Meter]:
    """A meter on a registry of its own, with the settings of `llm_settings`."""
    from prometheus_client import CollectorRegistry

    from llmmetrics import Meter

    meter = Meter.from_settings(llm_settings, registry=CollectorRegistry())
    yield meter
    meter.close()


@pytest.fixture
def llm_metrics(request: pytest.FixtureRequest, llm_meter: Meter) -> Iterator[LlmMetrics]:
    """The calls of this test and what they moved, on whichever meter; what nobody meters is metered by `llm_meter`."""
    from llmmetrics.testing.harness import metering
    from pytest_llmmetrics.probe import LlmMetrics
    from pytest_llmmetrics.series import watching

    with watching() as watcher, metering(llm_meter):
        _reporting(request.config)
        probe = LlmMetrics(watcher)
        request.node.stash[PROBE] = probe
        yield probe
        # an item lives as long as the session, and must not keep the test's meters alive
        del request.node.stash[PROBE]


@pytest.fixture
def llm_provider(request: pytest.FixtureRequest) -> Iterator[LlmProvider]:
    """A simulated provider inside the client: every LLM request through httpx or httpx2 is answered from its script."""
    if "httpx_mock" in request.fixturenames:
        pytest.fail("llm_provider and httpx_mock both answer for httpx: use one of them in a test", pytrace=False)
    from pytest_llmmetrics.provider import LlmProvider, answering

    script = LlmProvider()
    with _guarded(request, script), answering(script):
        yield script


@pytest.fixture
def llm_server(request: pytest.FixtureRequest) -> Iterator[LlmServer]:
    """The same over loopback HTTP, at `llm_server.url`, for other clients, processes and languages."""
    from pytest_llmmetrics.provider import served

    with served() as script, _guarded(request, script):
        yield script


@pytest.fixture
def llm_fault(request: pytest.FixtureRequest) -> Fault:
    """One fault of those that the marker `llm_faults` chooses: the test runs once for each."""
    fault: Fault = request.param
    return fault


@pytest.fixture
def llm_clock() -> Iterator[LlmClock]:
    """The hour, which stands still from the first `set`, `advance` or `to_next_reset` on."""
    from pytest_llmmetrics.clock import clock

    with clock() as made:
        yield made


@pytest.fixture
def llm_budget_ledger() -> str:
    """Where `llm_budget` keeps the spend: `memory`, `sqlite`, or a Redis URL. Override it to test on the real one."""
    return "memory"


@pytest.fixture
def llm_budget(llm_budget_ledger: str, request: pytest.FixtureRequest) -> Iterator[LlmBudget]:
    """Limits for the backends of this test's meters, in a ledger of its own."""
    from pytest_llmmetrics.budgets import budgets

    url = {"memory": "memory://"}.get(llm_budget_ledger, llm_budget_ledger)
    if url == "sqlite":
        url = f"sqlite:///{request.getfixturevalue('tmp_path')}/llm-budget.db"
    with budgets(url) as made:
        yield made


@pytest.fixture
def llm_cassette_dir() -> Path | None:
    """Where the test's own cassettes are; None: in `cassettes/` beside the test, then in the root directory."""
    return None


@pytest.fixture
def llm_cassette(request: pytest.FixtureRequest, llm_cassette_dir: Path | None) -> Iterator[LlmCassette]:
    """The cassettes of `@pytest.mark.llm_cassette`, playing. A marked test has it without asking."""
    from pytest_llmmetrics.cassettes.joining import CASSETTE
    from pytest_llmmetrics.cassettes.playing import playing

    with playing(request.node, llm_cassette_dir) as played:
        request.node.stash[CASSETTE] = played
        yield played
        # an item lives as long as the session
        del request.node.stash[CASSETTE]


def _reporting(config: pytest.Config) -> None:
    """Have failing tests show what the probe saw. Suites that use nothing of ours pay nothing for it."""
    if not config.pluginmanager.has_plugin(_REPORTS):
        config.pluginmanager.register(Reports(), _REPORTS)


_REPORTS = "llmmetrics-reports"


@contextmanager
def _guarded(request: pytest.FixtureRequest, script: Script) -> Iterator[None]:
    """No LLM is reached; at the end the script answers for what was asked in vain, and what was not asked for."""
    _reporting(request.config)
    if request.config.getoption("llm_network", "auto") == "allow":
        with _strictly(request, script):
            yield
        return
    from pytest_llmmetrics.network import denied, sentence

    with _strictly(request, script), denied() as tried:
        yield
    if tried and not request.node.stash.get(FAILED, False):
        # an SDK may have swallowed the exception, and tried again
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
    # a test that has failed need not have come to the end of its script
    requested = strict["assert_all_requested"] and not node.stash.get(FAILED, False)
    if found := complaints(script, name, requested=requested, scripted=strict["assert_all_scripted"]):
        pytest.fail("\n".join(found), pytrace=False)
