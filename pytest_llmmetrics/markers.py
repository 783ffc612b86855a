"""Finds the `llm_…` markers of a suite, and reports misspelt ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import pytest

from pytest_llmmetrics.hooks import refuse

PREFIX = "llm_"

_UNKNOWN = re.compile(r"'(llm_\w+)' not found in `markers`|Unknown pytest\.mark\.(llm_\w+)")
"""pytest's own messages about an unregistered marker."""


def used(items: Iterable[pytest.Item]) -> set[str]:
    """Return the names of the `llm_…` markers on these tests, their classes and modules."""
    names: set[str] = set()
    seen: set[pytest.Item | pytest.Collector] = set()
    for item in items:
        node: pytest.Item | pytest.Collector | None = item
        while node is not None and node not in seen:
            seen.add(node)
            names.update(mark.name for mark in node.own_markers if mark.name.startswith(PREFIX))
            node = node.parent
    return names


def misspelt(config: pytest.Config, names: Iterable[str]) -> dict[str, str]:
    """Return a message for each of these names that is unregistered and similar to a registered one."""
    registered = {re.split(r"[:(]", line, maxsplit=1)[0].strip() for line in config.getini("markers")}
    unknown = set(names) - registered
    if not unknown:
        return {}
    from difflib import get_close_matches

    # without the prefix, which would make all names similar
    known = sorted(name.removeprefix(PREFIX) for name in registered if name.startswith(PREFIX))
    return {
        name: f"there is no marker {name}: did you mean @pytest.mark.{PREFIX}{near[0]}? "
        f"(Register a marker of your own under `markers` in pytest's configuration)"
        for name in unknown
        if (near := get_close_matches(name.removeprefix(PREFIX), known, 1))
    }


def refuse_misspelt(items: Iterable[pytest.Item], messages: Mapping[str, str]) -> None:
    """Fail the tests that have a misspelt marker, before their fixtures run."""
    for item in items:
        for mark in item.iter_markers():
            if mark.name in messages:
                refuse(item, messages[mark.name])


def hint(config: pytest.Config, report: pytest.CollectReport) -> None:
    """Add the most similar name to pytest's own error about an unknown marker (`strict_markers`)."""
    if unknown := _UNKNOWN.search(str(report.longrepr)):
        messages = misspelt(config, [unknown[1] or unknown[2]])
        report.sections.extend(("llmmetrics", message) for message in messages.values())
