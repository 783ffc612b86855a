"""Cassettes of the user's own that no test names: told at the session's end, where all tests were collected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_llmmetrics import cassette_names
from pytest_llmmetrics.options import LEFTOVERS


class _Used:
    """What the markers name, and where they look."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.places: set[Path] = set()

    def __call__(self) -> list[str]:
        places = self.places - {cassette_names.shipped()}
        return sorted(
            name
            for place in places
            for name in cassette_names.names([place])
            if name not in self.names and _is_ours(cassette_names.path_of(place, name))
        )


def _is_ours(path: Path) -> bool:
    """Whether we have written it: pytest-recording keeps its cassettes in the same place."""
    return "\nmetadata:\n" in path.read_text("utf8", "replace")


def seen(item: pytest.Item) -> None:
    """Take down what this test names."""
    config = item.config
    if config.args_source == pytest.Config.ArgsSource.ARGS or config.getoption("lf", default=False):
        # only a part of the tests is looked at
        return
    used = config.stash.get(LEFTOVERS, None) or _Used()
    assert isinstance(used, _Used)
    tell: Callable[[], list[str]] = used
    config.stash[LEFTOVERS] = tell
    used.places |= {item.path.parent / "cassettes", config.rootpath / "cassettes"}
    for mark in item.iter_markers("llm_cassette"):
        used.names |= {str(each).removesuffix(".yaml") for each in mark.args}
