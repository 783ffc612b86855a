"""Says which test or fixture the calls belong to that begin now, on any thread."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from llmmetrics.testing.harness import set_owner

SESSION = "<session>"
"""What calls outside of any test and fixture belong to."""

Owner = tuple[str, int]
"""Whose a call is: a test and which of its runs, from 1; 0 for what is no test's."""


class Owners:
    """The plugin object that sets the owner as tests and fixtures run."""

    def __init__(self) -> None:
        self.runs: dict[str, int] = {}
        """How often each test was begun."""
        self.current: object = SESSION

    def owner_of(self, item: pytest.Item) -> Owner:
        """Whose the calls of this test's run are."""
        return item.nodeid, self.runs[item.nodeid]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        self.runs[item.nodeid] = self.runs.get(item.nodeid, 0) + 1
        return (yield from self._owned("<fixtures>"))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        return (yield from self._owned(fixturedef))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        return (yield from self._owned(self.owner_of(item)))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, object, object]:
        return (yield from self._owned("<fixtures>"))

    def _owned(self, owner: object) -> Generator[None, object, object]:
        before, self.current = self.current, owner
        outside = set_owner(owner)
        try:
            return (yield)
        finally:
            self.current = before
            set_owner(outside)


def owners_of(config: pytest.Config) -> Owners:
    """The session's owners: registered when they are first asked for."""
    found = config.pluginmanager.get_plugin(_NAME)
    if isinstance(found, Owners):
        return found
    config.pluginmanager.register(made := Owners(), _NAME)
    return made


_NAME = "llmmetrics-owners"


def named(owner: object) -> Owner:
    """The owner by name: a fixture's definition holds on to much else."""
    if isinstance(owner, tuple):
        return owner
    if isinstance(owner, pytest.FixtureDef):
        place = f"{owner.baseid}::" if owner.baseid else ""
        return f"<fixture {place}{owner.argname}>", 0
    return (owner if isinstance(owner, str) else SESSION), 0
