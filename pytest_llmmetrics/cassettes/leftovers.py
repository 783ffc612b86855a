"""Reports the user's cassettes that no test names, at the end of a session that collected all tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from pytest_llmmetrics.cassettes import names as cassette_names


class Leftovers:
    """Hooks of a session with cassettes that no test names."""

    def __init__(self, left: list[str]) -> None:
        self._left = left

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Send the names from an xdist worker to the controller."""
        if (output := getattr(session.config, "workeroutput", None)) is not None:
            output["llm_cassettes"] = self._left

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the names."""
        terminalreporter.write_line(f"llmmetrics: no test names these cassettes: {', '.join(self._left)}")


def tell(config: pytest.Config, left: list[str]) -> None:
    """Report these names at the session's end."""
    if not config.pluginmanager.has_plugin(_NAME):
        config.pluginmanager.register(Leftovers(left), _NAME)


_NAME = "llmmetrics-leftovers"


def look(config: pytest.Config, marked: Iterable[pytest.Item]) -> None:
    """Find the cassettes that none of these tests names, if all tests were collected."""
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
    """Tell whether this plugin has written the file: pytest-recording uses the same directory."""
    return "\nmetadata:\n" in path.read_text("utf8", "replace")
