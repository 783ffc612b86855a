"""The fixture `llm_clock`: moves the wall clock of the process, with time-machine, and the leases of reservations.

Monotonic time stays real.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import time_machine

from llmmetrics import ConfigError
from llmmetrics.testing.harness import has_own_clock, meters, next_reset, shift_uptime
from pytest_llmmetrics.budgets import meters_of


class ClockError(AssertionError):
    """A clock that `llm_clock` cannot move."""


class LlmClock:
    """The wall clock of the process: real until the first move, frozen after it."""

    def __init__(self) -> None:
        self._travel: time_machine.travel | None = None
        self._forward = 0.0
        """Seconds by which the time was moved forward, in all."""

    @property
    def now(self) -> datetime:
        """The current time, in UTC."""
        return datetime.now(UTC)

    def set(self, moment: datetime | str) -> datetime:
        """Set the time: a datetime, or a text in ISO 8601. Raises `ValueError` if it has no time zone."""
        at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        if at.tzinfo is None:
            raise ValueError(f'{at.isoformat()} has no time zone: write "{at.isoformat()}+00:00" for UTC')
        _require_movable()
        # leases end by another clock, which never goes back
        self._forward += max((at - self.now).total_seconds(), 0)
        forward = self._forward
        self.stop()
        self._forward = forward
        shift_uptime(forward)
        self._travel = time_machine.travel(at, tick=False)
        self._travel.start()
        return self.now

    def advance(self, by: timedelta | float | None = None, **units: float) -> datetime:
        """Move the time forward by a timedelta, by seconds, or by units: `advance(hours=2)`."""
        step = timedelta(seconds=by) if isinstance(by, int | float) else by or timedelta()
        return self.set(self.now + step + timedelta(**units))

    def to_next_reset(self, backend: str) -> datetime:
        """Move the time to the start of this backend's next spend window. Raises `ConfigError` if it is never reset."""
        moment = next_reset(meters_of(backend)[0], backend)
        if moment is None:
            raise ConfigError(f"the budget of {backend!r} is never reset: its SpendResetPeriod is Never")
        return self.set(moment)

    def stop(self) -> None:
        """Return to real time."""
        if self._travel is not None:
            self._travel.stop()
            self._travel = None
            self._forward = 0.0
            shift_uptime(0)


@contextmanager
def clock() -> Iterator[LlmClock]:
    """Make a clock, and return to real time at the end of the block."""
    frozen = sys.modules.get("freezegun.api")
    if frozen is not None and getattr(frozen, "freeze_factories", None):
        raise ClockError("freezegun is active: use only one of llm_clock and freezegun in a test")
    moved = LlmClock()
    try:
        yield moved
    finally:
        moved.stop()


def _require_movable() -> None:
    if any(map(has_own_clock, meters())):
        # a meter that is only kept by a cycle does not count
        gc.collect()
    for meter in filter(has_own_clock, meters()):
        raise ClockError(
            f"a meter has a clock of its own ({type(meter.clock).__name__}), which llm_clock cannot move: make the "
            "meter without clock=, or move that clock in the test"
        )
