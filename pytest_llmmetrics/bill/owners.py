"""Tracks the test or fixture that runs: calls that begin now, on any thread, belong to it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from llmmetrics.testing.harness import set_owner

SESSION = "<session>"
"""The owner of calls outside of tests and fixtures."""

Owner = tuple[str, int]
"""A call's owner: a test's id and the number of its run, from 1; 0: not a test."""


class Owners:
    """The plugin object that sets the owner as tests and fixtures run."""

    def __init__(self) -> None:
        self.runs: dict[str, int] = {}
        """How often each test was started."""
        self.current: object = SESSION

    def owner_of(self, item: pytest.Item) -> Owner:
        """Return the owner of the calls of this test's current run."""
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
    """Return the session's `Owners`; register it on first use."""
    owners = config.pluginmanager.get_plugin(_NAME)
    if not isinstance(owners, Owners):
        config.pluginmanager.register(owners := Owners(), _NAME)
    return owners


_NAME = "llmmetrics-owners"


def named(owner: object) -> Owner:
    """Return an owner by name: a fixture's definition would keep many objects alive."""
    if isinstance(owner, tuple):
        return owner
    if isinstance(owner, pytest.FixtureDef):
        place = f"{owner.baseid}::" if owner.baseid else ""
        return f"<fixture {place}{owner.argname}>", 0
    return (owner if isinstance(owner, str) else SESSION), 0
