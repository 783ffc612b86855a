"""A window of scrapes of a `/metrics`: the growth of each series, also across restarts of the process."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from llmmetrics.testing.contract.exposition import Labels, Page

SECONDS = 60.0
"""Minimum length of a window, once enough time has passed."""

Series = tuple[str, Labels]


class ScrapeReading(NamedTuple):
    """The stored part of one scrape."""

    at: float
    """In seconds of a monotonic clock."""
    grown: Mapping[Series, float]
    """The value of each counter as if its process had never restarted. Of a gauge it means nothing."""


class ScrapeWindow(NamedTuple):
    """The scrapes from which the figures are computed."""

    values: Mapping[Series, float]
    """The values of the last scrape."""
    unread: int
    """The number of unreadable lines of the last scrape."""
    readings: tuple[ScrapeReading, ...]
    """Sorted, the oldest first."""


EMPTY = ScrapeWindow({}, 0, ())


def is_ours(page: Page) -> bool:
    """Return whether the page has families or series of llmmetrics. Without a backend it has only families."""
    return any(
        name.startswith(("llm_", "llmmetrics_")) for name in (*page.types, *(each.name for each in page.samples))
    )


def scraped(window: ScrapeWindow, page: Page, at: float) -> ScrapeWindow:
    """Add a scrape to the window; drop the scrapes that are too old."""
    values = {
        (each.name, each.labels): each.value
        for each in page.samples
        if each.name.startswith(("llm_", "llmmetrics_")) and math.isfinite(each.value) and each.value >= 0
    }
    begun = sum(each.at <= at - SECONDS for each in window.readings)
    reading = ScrapeReading(at, _grown(window, values))
    return ScrapeWindow(values, len(page.problems), (*window.readings[max(begun - 1, 0) :], reading))


def _grown(window: ScrapeWindow, values: Mapping[Series, float]) -> Mapping[Series, float]:
    """Add up the growth, as Prometheus' `increase` does: a value that fell, or is new, started at 0."""
    if not window.readings:
        return values
    grown = dict(window.readings[-1].grown)
    for series, value in values.items():
        before = window.values.get(series, 0.0)
        grown[series] = grown.get(series, 0.0) + (value - before if value >= before else value)
    return grown
