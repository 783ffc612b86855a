"""Which `llm_…` markers a suite uses, and what is said of one that is misspelt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import pytest

from pytest_llmmetrics.hooks import refuse

PREFIX = "llm_"

_UNKNOWN = re.compile(r"'(llm_\w+)' not found in `markers`|Unknown pytest\.mark\.(llm_\w+)")
"""What pytest says of a marker that is not registered."""


def used(items: Iterable[pytest.Item]) -> set[str]:
    """The names of the `llm_…` markers on these tests, their classes and modules."""
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
    """Those of these names that are not registered and near one that is, and what is said of each."""
    registered = {re.split(r"[:(]", line, maxsplit=1)[0].strip() for line in config.getini("markers")}
    unknown = set(names) - registered
    if not unknown:
        return {}
    from difflib import get_close_matches

    # all of them have the prefix in common: it makes nothing near
    known = sorted(name.removeprefix(PREFIX) for name in registered if name.startswith(PREFIX))
    return {
        name: f"there is no marker {name}: did you mean @pytest.mark.{PREFIX}{near[0]}? "
        f"(A marker of your own is registered under `markers` in pytest's configuration)"
        for name in unknown
        if (near := get_close_matches(name.removeprefix(PREFIX), known, 1))
    }


def refuse_misspelt(items: Iterable[pytest.Item], messages: Mapping[str, str]) -> None:
    """Have the tests that a misspelt marker is on end in an error, before a fixture of theirs runs."""
    for item in items:
        for mark in item.iter_markers():
            if mark.name in messages:
                refuse(item, messages[mark.name])


def hint(config: pytest.Config, report: pytest.CollectReport) -> None:
    """Add the nearest name to what pytest itself says of an unknown marker, as it does with `strict_markers`."""
    if found := _UNKNOWN.search(str(report.longrepr)):
        messages = misspelt(config, [found[1] or found[2]])
        report.sections.extend(("llmmetrics", message) for message in messages.values())
