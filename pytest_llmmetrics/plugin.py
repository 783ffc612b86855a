"""The pytest plugin: hooks only. A hook imports what it needs when a suite uses it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from pytest_llmmetrics import markers, options
from pytest_llmmetrics.bill import options as bill_options
from pytest_llmmetrics.fixtures import (
    llm_budget,
    llm_budget_ledger,
    llm_cassette,
    llm_cassette_dir,
    llm_clock,
    llm_fault,
    llm_meter,
    llm_metrics,
    llm_provider,
    llm_server,
    llm_settings,
)
from pytest_llmmetrics.hooks import Denies

__all__ = [
    "llm_budget",
    "llm_budget_ledger",
    "llm_cassette",
    "llm_cassette_dir",
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
    for line in (*options.MARKERS, *bill_options.MARKERS):
        config.addinivalue_line("markers", line)
    if config.getoption("llm_network", "auto") == "deny":
        config.pluginmanager.register(Denies(), "llmmetrics-denies")
    if (usd := config.getoption("llm_max_usd", None)) is not None:
        from pytest_llmmetrics import live

        live.start(config, usd)
    if bill_options.wanted(config):
        from pytest_llmmetrics.bill import session

        session.start(config)
    elif bill_options.given(config):
        # nothing is measured, but a wrong option is still an error
        bill_options.read(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("llm_faults")
    if "llm_fault" not in metafunc.fixturenames:
        if marker is not None:
            pytest.fail(
                f"{metafunc.definition.nodeid}: @pytest.mark.llm_faults needs the fixture llm_fault among the test's "
                "arguments",
                pytrace=False,
            )
        return
    from pytest_llmmetrics.faults import chosen

    try:
        selection = {} if marker is None else options.arguments(marker, ("only", "exclude"))
        faults, problem = chosen(**selection), "@pytest.mark.llm_faults selects no fault, so the test would not run"
    except ValueError as exc:
        faults, problem = (), str(exc)
    if not faults:
        pytest.fail(f"{metafunc.definition.nodeid}: {problem}", pytrace=False)
    metafunc.parametrize("llm_fault", faults, ids=[each.name for each in faults], indirect=True)


def pytest_report_header(config: pytest.Config) -> str | None:
    if (mode := options.asked_to_record(config)) != options.record_mode(config):
        return f"llmmetrics: --llm-record={mode} does nothing while CI is set: cassettes are only replayed"
    return None


# before any plugin deselects tests: a deselected test still uses the cassettes that it names
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if marked := [item for item in items if "llm_cassette" in item.keywords]:
        from pytest_llmmetrics.cassettes.joining import prepare

        prepare(config, marked)


# after every plugin and conftest.py has added and removed tests
@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    if not (used := markers.used(session.items)):
        return
    if used & {"llm_limit", "llm_budget"}:
        from pytest_llmmetrics.bill.enforcing import prepare

        prepare(session.config, session.items)
    if "llm_repeat" in used:
        from pytest_llmmetrics.bill import repeating

        repeating.prepare(session.config, session.items)
    if messages := markers.misspelt(session.config, used):
        markers.refuse_misspelt(session.items, messages)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.failed:
        markers.hint(collector.config, report)
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    # the workers collect, and the controller reports
    if left := getattr(node, "workeroutput", {}).get("llm_cassettes"):
        from pytest_llmmetrics.cassettes.leftovers import tell

        tell(node.config, left)
