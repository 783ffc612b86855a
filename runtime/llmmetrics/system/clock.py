"""The only source of time: all code reads a `Clock`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The time functions that a meter needs."""

    def now(self) -> datetime:
        """Return the wall clock's time, timezone-aware."""

    def monotonic(self) -> float:
        """Return monotonic seconds, for durations."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        # time.time, not datetime.now: every time-freezing tool changes it
        return datetime.fromtimestamp(time.time(), UTC)

    monotonic = staticmethod(time.perf_counter)
