"""Has the tests that the marker `llm_cassette` is on use their cassettes, and answer for them."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llmmetrics.cassettes.leftovers import look

if TYPE_CHECKING:
    from pytest_llmmetrics.cassettes.playing import LlmCassette

CASSETTE: pytest.StashKey[LlmCassette] = pytest.StashKey()
"""What a test with a cassette plays."""


def prepare(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Have marked tests use the fixture `llm_cassette`, and answer for it."""
    marked = [item for item in items if item.get_closest_marker("llm_cassette")]
    for item in marked:
        _join(getattr(item, "fixturenames", []), getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {}))
    if marked and not config.pluginmanager.has_plugin(_NAME):
        config.pluginmanager.register(Concludes(), _NAME)
        look(config, marked)


_NAME = "llmmetrics-cassettes"


def _join(names: list[str], known: Mapping[str, Any]) -> None:
    """Before every other fixture of its own scope, and after those that outlive it."""
    if "llm_cassette" in names:
        return
    scopes = [known[name][-1].scope if known.get(name) else "" for name in names]
    names.insert(scopes.index("function") if "function" in scopes else len(names), "llm_cassette")


class Concludes:
    """A test with a cassette answers for it when its own code has ended."""

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
