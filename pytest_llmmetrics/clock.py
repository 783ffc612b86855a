"""The hour as a test has it: the wall clock of the process, moved by time-machine. Monotonic time stays real."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import time_machine

from llmmetrics import ConfigError
from llmmetrics.testing.harness import has_own_clock, meters, next_reset
from pytest_llmmetrics.budgets import meters_of


class ClockError(AssertionError):
    """Time that a test cannot move."""


class LlmClock:
    """Stands still from the first move on; before it, time is the machine's."""

    def __init__(self) -> None:
        self._travel: time_machine.travel | None = None

    @property
    def now(self) -> datetime:
        """The hour, in UTC."""
        return datetime.now(UTC)

    def set(self, moment: datetime | str) -> datetime:
        """Make it this moment; a text is ISO 8601. Raises `ValueError` for one without a time zone."""
        at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        if at.tzinfo is None:
            raise ValueError(f'{at.isoformat()} has no time zone: write "{at.isoformat()}+00:00" for UTC')
        _require_movable()
        self.stop()
        self._travel = time_machine.travel(at, tick=False)
        self._travel.start()
        return self.now

    def advance(self, by: timedelta | float | None = None, **units: float) -> datetime:
        """Move on by a timedelta, by seconds, or by its units: `advance(hours=2)`."""
        step = timedelta(seconds=by) if isinstance(by, int | float) else by or timedelta()
        return self.set(self.now + step + timedelta(**units))

    def to_next_reset(self, backend: str) -> datetime:
        """Move to the moment at which this backend's next spend window starts."""
        found = next_reset(meters_of(backend)[0], backend)
        if found is None:
            raise ConfigError(f"the budget of {backend!r} is never reset: its SpendResetPeriod is Never")
        return self.set(found)

    def stop(self) -> None:
        """Let time be the machine's again."""
        if self._travel is not None:
            self._travel.stop()
            self._travel = None


@contextmanager
def clock() -> Iterator[LlmClock]:
    """A clock that lets go of time at the end."""
    frozen = sys.modules.get("freezegun.api")
    if frozen is not None and getattr(frozen, "freeze_factories", None):
        raise ClockError("freezegun is active: use llm_clock or freezegun in a test, not both")
    made = LlmClock()
    try:
        yield made
    finally:
        made.stop()


def _require_movable() -> None:
    if any(map(has_own_clock, meters())):
        # one that nobody holds any more is no reason
        gc.collect()
    for meter in filter(has_own_clock, meters()):
        raise ClockError(
            f"a meter has a clock of its own ({type(meter.clock).__name__}), which llm_clock cannot move: make it "
            "without clock=, or move its clock yourself"
        )
