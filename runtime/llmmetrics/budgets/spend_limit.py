"""One backend's limit in a process: its window of now, what the ledger has said last, and the numbers of its calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import count

from llmmetrics.settings.windows import Window, WindowSchedule


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

    def number(self) -> int:
        """Return a number for a call."""
        self.used = True
        if self.unused:
            # another thread may take the last one
            with suppress(IndexError):
                return self.unused.pop()
        return next(self.numbers)

    def forked(self) -> None:
        """Begin the numbers of another owner."""
        self.numbers, self.unused, self.used = count(), [], False
