"""Makes tests with the marker `llm_cassette` use the fixture, and fails them for what went wrong with it."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llmmetrics.cassettes.leftovers import look

if TYPE_CHECKING:
    from pytest_llmmetrics.cassettes.playing import LlmCassette

CASSETTE: pytest.StashKey[LlmCassette] = pytest.StashKey()
"""The cassettes of a test, while it runs."""


def prepare(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Add the fixture `llm_cassette` to the marked tests."""
    marked = [item for item in items if item.get_closest_marker("llm_cassette")]
    for item in marked:
        _join(getattr(item, "fixturenames", []), getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {}))
    if marked and not config.pluginmanager.has_plugin(_NAME):
        config.pluginmanager.register(Concludes(), _NAME)
        look(config, marked)


_NAME = "llmmetrics-cassettes"


def _join(names: list[str], known: Mapping[str, Any]) -> None:
    """Insert `llm_cassette` before the other function-scoped fixtures, after those of wider scopes."""
    if "llm_cassette" in names:
        return
    scopes = [known[name][-1].scope if known.get(name) else "" for name in names]
    names.insert(scopes.index("function") if "function" in scopes else len(names), "llm_cassette")


class Concludes:
    """Judges the use of a test's cassettes when the test's own code has ended."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None]:
        if (played := item.stash.get(CASSETTE, None)) is None:
            return (yield)
        from pytest_llmmetrics.cassettes.playing import conclude

        try:
            yield
        except BaseException as exc:
            conclude(played, exc)
            raise
        conclude(played, None)
