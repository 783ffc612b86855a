"""One backend's limit in a process: its window of now, what the ledger has said last, and the numbers of its calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import NamedTuple

from llmmetrics.budgets.journal import Entry
from llmmetrics.budgets.ledgers import CallId
from llmmetrics.budgets.ledgers.base import QUARTER_HOUR
from llmmetrics.settings.windows import FIRST, LAST, Window, WindowSchedule

_QUARTER = QUARTER_HOUR / 1000
"""Seconds."""

NO_ID = CallId("", 0)
"""The id of calls for which nothing is reserved, where the ledger is this process's own memory: it is told only once
what they cost."""


class Moment(NamedTuple):
    """A moment that stands for all calls from `since` to `until`, in seconds since 1970.

    That is a second at most, in one quarter of an hour: to make a date for each call takes longer than the rest.
    """

    since: float
    until: float
    at: datetime
    window: Window
    entry: Entry
    """The entry of calls of `NO_ID`."""


_NEVER = Moment(1.0, 0.0, FIRST, Window(FIRST, LAST), Entry("", NO_ID, 0, FIRST))


@dataclass
class SpendLimit:
    """One backend's limit, in pico-dollars a window."""

    backend: str
    limit: int
    shape: WindowSchedule
    window: Window | None = None
    spent: int = 0
    """What the ledger has said last of this window."""
    reserved: int = 0
    generation: int = 0
    alerted: set[Decimal] = field(default_factory=set)
    now: Moment = _NEVER
    """The moment of the latest calls."""
    used: bool = False
    """Whether this owner has had a number."""
    numbers: Iterator[int] = field(default_factory=count)
    unused: list[int] = field(default_factory=list)
    """Numbers whose calls were refused: they are given again, so that the settled numbers have no gaps."""

    def at(self, now: datetime) -> Window:
        """Return the window of this moment. Every window has alerts of its own."""
        window = self.window
        if window is None or not window.start <= now < window.end:
            self.window = window = self.shape.window(now)
            self.alerted = set()
            self.spent = self.reserved = self.generation = 0
        return window

    def turn(self, now: datetime) -> Moment:
        """Begin another moment."""
        since = now.timestamp()
        until = min(since + 1, (since // _QUARTER + 1) * _QUARTER)
        self.used = True
        self.now = moment = Moment(since, until, now, self.at(now), Entry(self.backend, NO_ID, 0, now))
        return moment

    def number(self) -> int:
        """Return a number for a call."""
        if self.unused:
            # another thread may take the last one
            with suppress(IndexError):
                return self.unused.pop()
        return next(self.numbers)

    def forked(self) -> None:
        """Begin the numbers of another owner."""
        self.numbers, self.unused, self.used = count(), [], False
        self.now = _NEVER
