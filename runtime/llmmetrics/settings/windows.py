"""Spend windows: calendar windows `[start, next start)`, a pure function of the moment and the settings."""

import calendar
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo


class ResetPeriod(StrEnum):
    """The length of a spend window."""

    HOURLY = "Hourly"
    DAILY = "Daily"
    WEEKLY = "Weekly"
    MONTHLY = "Monthly"
    NEVER = "Never"


class Weekday(StrEnum):
    """The day on which a weekly window starts."""

    MONDAY = "Monday"
    TUESDAY = "Tuesday"
    WEDNESDAY = "Wednesday"
    THURSDAY = "Thursday"
    FRIDAY = "Friday"
    SATURDAY = "Saturday"
    SUNDAY = "Sunday"


FIRST = datetime(1970, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 1, 1, tzinfo=UTC)
"""The ends of a window that is never reset."""

HOUR = timedelta(hours=1)


class Window(NamedTuple):
    """Two moments in UTC: `start` belongs to the window, `end` to the next."""

    start: datetime
    end: datetime

    def holds(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    @property
    def resets_at(self) -> datetime | None:
        """The start of the next window; None if the window is never reset."""
        return None if self.end == LAST else self.end


class WindowSchedule(NamedTuple):
    """The starts of a backend's windows. In a month without `day`, its last day counts."""

    period: ResetPeriod
    weekday: Weekday = Weekday.MONDAY
    day: int = 1
    zone: str = "UTC"

    def window(self, moment: datetime) -> Window:
        """Return the window of a moment, timezone-aware."""
        if self.period is ResetPeriod.NEVER:
            return Window(FIRST, LAST)
        zone = ZoneInfo(self.zone)
        if self.period is ResetPeriod.HOURLY:
            return _hour(moment, zone)
        today = moment.astimezone(zone).date()
        start_of = _STARTS[self.period]
        # a change of the clock may repeat a part of a day: the latest start counts
        begun = start_of(self, today)
        before = start_of(self, begun - timedelta(days=1))
        dates = [start_of(self, before - timedelta(days=1)), before, begun]
        for _ in range(2):
            dates.append(_following(self, start_of, dates[-1]))
        starts = [_midnight(each, zone) for each in dates]
        return next(Window(start, end) for start, end in pairwise(starts) if start <= moment < end)


def _hour(moment: datetime, zone: ZoneInfo) -> Window:
    """Return the hour of a moment, aligned to the zone's clock; a zone that shifts by less uses its standard time."""
    standard = FIRST.replace(year=2026).astimezone(zone)
    offset = (standard.utcoffset() or timedelta()) - (standard.dst() or timedelta())
    since = (moment - FIRST + offset) // HOUR * HOUR
    start = FIRST + since - offset
    return Window(start, start + HOUR)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return the first moment of a day; if the clock jumps over midnight, the moment of the jump (PEP 495)."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _week(shape: WindowSchedule, day: date) -> date:
    return day - timedelta(days=(day.weekday() - list(Weekday).index(shape.weekday)) % 7)


def _month(shape: WindowSchedule, day: date) -> date:
    begun = _in_month(shape, day)
    return begun if begun <= day else _in_month(shape, day.replace(day=1) - timedelta(days=1))


def _in_month(shape: WindowSchedule, day: date) -> date:
    return day.replace(day=min(shape.day, calendar.monthrange(day.year, day.month)[1]))


# the start of the window that a day is in
_STARTS: dict[ResetPeriod, Callable[[WindowSchedule, date], date]] = {
    ResetPeriod.DAILY: lambda _, day: day,
    ResetPeriod.WEEKLY: _week,
    ResetPeriod.MONTHLY: _month,
}


def _following(shape: WindowSchedule, start_of: Callable[[WindowSchedule, date], date], start: date) -> date:
    """Return the next start after this one."""
    day = start + timedelta(days=1)
    while start_of(shape, day) == start:
        day += timedelta(days=1)
    return day
