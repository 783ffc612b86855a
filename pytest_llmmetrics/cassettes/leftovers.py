"""Cassettes of the user's own that no test names: told at the session's end, where all tests were collected."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from pytest_llmmetrics.cassettes import names as cassette_names


class Leftovers:
    """Hooks of a session in which there are cassettes."""

    def __init__(self, left: list[str]) -> None:
        self._left = left

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Under xdist the workers know, and the controller tells."""
        if (output := getattr(session.config, "workeroutput", None)) is not None:
            output["llm_cassettes"] = self._left

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The line that says it."""
        terminalreporter.write_line(f"llmmetrics: cassettes that no test names: {', '.join(self._left)}")


def tell(config: pytest.Config, left: list[str]) -> None:
    """Have the session end with it."""
    if not config.pluginmanager.has_plugin(_NAME):
        config.pluginmanager.register(Leftovers(left), _NAME)


_NAME = "llmmetrics-leftovers"


def look(config: pytest.Config, marked: Iterable[pytest.Item]) -> None:
    """Find what none of these tests names, unless they are but a part of all tests."""
    if config.args_source == pytest.Config.ArgsSource.ARGS or config.getoption("lf", default=False):
        return
    names: set[str] = set()
    places = {config.rootpath / "cassettes"}
    for item in marked:
        places.add(item.path.parent / "cassettes")
        for mark in item.iter_markers("llm_cassette"):
            names |= {str(each).removesuffix(".yaml") for each in mark.args}
    if left := sorted(_unnamed(places - {cassette_names.shipped()}, names)):
        tell(config, left)


def _unnamed(places: set[Path], named: set[str]) -> set[str]:
    return {
        name
        for place in places
        for name in cassette_names.names([place])
        if name not in named and _is_ours(cassette_names.path_of(place, name))
    }


def _is_ours(path: Path) -> bool:
    """Whether we have written it: pytest-recording keeps its cassettes in the same place."""
    return "\nmetadata:\n" in path.read_text("utf8", "replace")
