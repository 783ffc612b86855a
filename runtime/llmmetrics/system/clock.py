"""The only source of time: all code reads a `Clock`."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from llmmetrics.system import boot


class Clock(Protocol):
    """The time functions that a meter needs."""

    def now(self) -> datetime:
        """Return the wall clock's time, timezone-aware."""

    def monotonic(self) -> float:
        """Return monotonic seconds, for durations."""

    def uptime(self) -> float:
        """Return seconds since the machine started, the same in all of its processes, for leases."""


def uptime_of(clock: Clock) -> Callable[[], float]:
    """Return a clock's `uptime`; the machine's for a clock that was written before clocks had it."""
    return getattr(clock, "uptime", boot.uptime)


def seconds_of(clock: Clock) -> Callable[[], float]:
    """Return a function that reads a clock's `now` as seconds since 1970; without a `datetime` for the machine's."""
    # a subclass may have another `now`
    return _seconds if type(clock) is SystemClock else lambda: clock.now().timestamp()


def _seconds() -> float:
    # not `time.time` itself: the tools that freeze time replace it
    return time.time()


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        # time.time, not datetime.now: every time-freezing tool changes it
        return datetime.fromtimestamp(time.time(), UTC)

    monotonic = staticmethod(time.perf_counter)
    uptime = staticmethod(boot.uptime)
