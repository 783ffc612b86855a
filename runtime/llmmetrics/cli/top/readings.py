"""Scrapes of a `/metrics`, kept for as long as figures are taken over: what grew, through restarts too."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from llmmetrics.testing.contract.exposition import Labels, Page

SECONDS = 60.0
"""How long a window is, at least, once it has been open for so long."""

Series = tuple[str, Labels]


class ScrapeReading(NamedTuple):
    """What is kept of one scrape."""

    at: float
    """In seconds of a clock that never goes back."""
    grown: Mapping[Series, float]
    """What each series would be, had its process never been started anew. Of a gauge it means nothing."""


class ScrapeWindow(NamedTuple):
    """The scrapes that figures are taken over."""

    values: Mapping[Series, float]
    """Of the last one."""
    unread: int
    """How many lines of it could not be read."""
    readings: tuple[ScrapeReading, ...]
    """The oldest first."""


EMPTY = ScrapeWindow({}, 0, ())


def is_ours(page: Page) -> bool:
    """Whether it has anything of llmmetrics: a program without a backend has families and no series."""
    return any(
        name.startswith(("llm_", "llmmetrics_")) for name in (*page.types, *(each.name for each in page.samples))
    )


def scraped(window: ScrapeWindow, page: Page, at: float) -> ScrapeWindow:
    """The window with one more scrape, and without those that it no longer reaches."""
    values = {
        (each.name, each.labels): each.value
        for each in page.samples
        if each.name.startswith(("llm_", "llmmetrics_")) and math.isfinite(each.value) and each.value >= 0
    }
    begun = sum(each.at <= at - SECONDS for each in window.readings)
    reading = ScrapeReading(at, _grown(window, values))
    return ScrapeWindow(values, len(page.problems), (*window.readings[max(begun - 1, 0) :], reading))


def _grown(window: ScrapeWindow, values: Mapping[Series, float]) -> Mapping[Series, float]:
    """As Prometheus' `increase` has it: what is less than it was began at 0, and so did what was not there."""
    if not window.readings:
        return values
    grown = dict(window.readings[-1].grown)
    for series, value in values.items():
        before = window.values.get(series, 0.0)
        grown[series] = grown.get(series, 0.0) + (value - before if value >= before else value)
    return grown
