"""The pytest plugin: hooks and fixtures. What a fixture needs is imported when the fixture is asked for."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_llmmetrics import options
from pytest_llmmetrics.options import LEFTOVERS

if TYPE_CHECKING:
    from llmmetrics import Meter
    from pytest_llmmetrics.cassettes import Played
    from pytest_llmmetrics.probe import Probe

CASSETTE = pytest.StashKey["Played"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    for marker in options.MARKERS:
        config.addinivalue_line("markers", marker)


def pytest_report_header(config: pytest.Config) -> str | None:
    if (mode := options.asked_to_record(config)) != options.record_mode(config):
        return f"llmmetrics: --llm-record={mode} does nothing where CI is set: cassettes are replayed"
    return None


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.get_closest_marker("llm_cassette"):
        from pytest_llmmetrics.cassettes import joined

        joined(item)


def pytest_sessionfinish(session: pytest.Session) -> None:
    # under xdist the workers collect, and the controller tells
    if LEFTOVERS in session.config.stash and hasattr(session.config, "workeroutput"):
        session.config.workeroutput["llm_cassettes"] = session.config.stash[LEFTOVERS]()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    if left := getattr(node, "workeroutput", {}).get("llm_cassettes"):
        node.config.stash[LEFTOVERS] = lambda: left  # type: ignore[attr-defined]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if left := config.stash.get(LEFTOVERS, list)():
        terminalreporter.write_line(f"llmmetrics: cassettes that no test names: {', '.join(left)}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    if (played := item.stash.get(CASSETTE, None)) is None:
        return (yield)
    from pytest_llmmetrics.cassettes import conclude

    try:
        yield
    except BaseException as exc:
        conclude(played, exc)
        raise
    conclude(played, None)


@pytest.fixture
def llm_cassette_dir() -> Path | None:
    """Where the test's own cassettes are; None: in `cassettes/` beside the test, then in the root directory."""
    return None


@pytest.fixture
def llm_cassette(request: pytest.FixtureRequest, llm_cassette_dir: Path | None) -> Iterator[Played]:
    """The cassettes of `@pytest.mark.llm_cassette`, playing. A marked test has it without asking."""
    from pytest_llmmetrics.cassettes import playing

    with playing(request.node, llm_cassette_dir) as played:
        request.node.stash[CASSETTE] = played
        yield played


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
