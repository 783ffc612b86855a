"""Which start of the machine this is, and the clock that runs since then: for what must outlive a process."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path


def _boot() -> str:
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    # elsewhere a reservation that ends later than a whole lease from now shows another start
    return ""


BOOT = _boot()
"""The id of this start of the machine; empty where the system has none."""


_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", None)

_shift = [0.0]
"""Seconds by which a test has moved the clock."""


def uptime() -> float:
    """Return seconds since the machine started, with the time that it slept where the system counts it."""
    # monotonic: perf_counter may begin with the process
    return (time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)) + _shift[0]


def shift_uptime(seconds: float) -> None:
    """Move `uptime` of this process by so many seconds in all, for a test."""
    _shift[0] = seconds
