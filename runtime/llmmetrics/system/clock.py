"""The one source of time: everything that asks for the hour asks a `Clock`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What a meter needs to know of time."""

    def now(self) -> datetime:
        """The wall clock's time, timezone-aware."""

    def monotonic(self) -> float:
        """Seconds that never go back, for durations."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        # time.time, not datetime.now: the one reading that every time-freezing tool moves
        return datetime.fromtimestamp(time.time(), UTC)

    monotonic = staticmethod(time.perf_counter)
