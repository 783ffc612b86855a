"""Spend windows tile time without gap or overlap, in every zone, across every change of its clocks."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import SOAK

from llmmetrics.settings.windows import FIRST, LAST, ResetPeriod, Weekday, Window, WindowSchedule

# half-hour summer time; offsets of 45 minutes; midnights that do not exist; a day that was left out
ZONES = ("UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo")
MORE_ZONES = (*ZONES, "Europe/London", "Pacific/Apia", "Asia/Beirut", "America/Havana")
TICK = timedelta(microseconds=1)

SHAPES = (
    *(WindowSchedule(period, zone=zone) for zone in ZONES for period in (ResetPeriod.DAILY, ResetPeriod.HOURLY)),
    *(
        WindowSchedule(ResetPeriod.WEEKLY, weekday, zone=zone)
        for zone in ZONES
        for weekday in (Weekday.MONDAY, Weekday.SATURDAY)
    ),
    *(WindowSchedule(ResetPeriod.MONTHLY, day=day, zone=zone) for zone in ZONES for day in (1, 15, 29, 31)),
)


def name(shape):
    return "-".join(map(str, shape))


def test_each_period_has_a_row():
    absent = {*ResetPeriod} - {ResetPeriod.NEVER} - {shape.period for shape in SHAPES}
    assert not absent, f"SHAPES in this file has no row for {', '.join(sorted(absent))}: add one"


@pytest.mark.parametrize("shape", SHAPES, ids=name)
@pytest.mark.parametrize(
    "first", [datetime(2017, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)], ids=["2017", "2024"]
)
def test_three_years_are_tiled(shape, first):
    """Sao Paulo had summer time, with days that began at one, until 2019."""
    last = first + timedelta(days=3 * 366 if SOAK or shape.period is not ResetPeriod.HOURLY else 400)
    window = shape.window(first)
    while window.start < last:
        assert window.start < window.end
        for moment in (
            window.start,
            window.start + TICK,
            window.start + (window.end - window.start) / 2,
            window.end - TICK,
        ):
            assert shape.window(moment) == window
        following = shape.window(window.end)
        assert following.start == window.end
        assert shape.window(window.start - TICK).end == window.start
        window = following


@given(
    moment=st.integers(0, 35 * 365 * 86400).map(
        lambda seconds: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    ),
    shape=st.builds(
        WindowSchedule,
        st.sampled_from(list(ResetPeriod)),
        st.sampled_from(list(Weekday)),
        st.integers(1, 31),
        st.sampled_from(MORE_ZONES),
    ),
)
def test_any_moment_is_in_its_window(moment, shape):
    window = shape.window(moment)
    assert window.holds(moment)
    assert shape.window(window.start) == window
    if window.resets_at:
        assert shape.window(window.end - TICK) == window
        assert shape.window(window.end).start == window.end


@pytest.mark.parametrize("zone", MORE_ZONES)
def test_starts_are_where_the_zone_s_calendar_says(zone):
    chance = random.Random(7)
    for _ in range(300):
        moment = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=chance.randrange(3 * 366 * 86400))
        day = WindowSchedule(ResetPeriod.DAILY, zone=zone).window(moment).start.astimezone(ZoneInfo(zone))
        assert (day.hour, day.minute) in ((0, 0), (1, 0)), day
        week = (
            WindowSchedule(ResetPeriod.WEEKLY, Weekday.WEDNESDAY, zone=zone)
            .window(moment)
            .start.astimezone(ZoneInfo(zone))
        )
        assert week.weekday() == 2
        month = WindowSchedule(ResetPeriod.MONTHLY, day=31, zone=zone).window(moment).start.astimezone(ZoneInfo(zone))
        assert (month + timedelta(days=1, hours=2)).day == 1 or month.day == 31


@pytest.mark.parametrize(
    ("shape", "moment", "start", "end"),
    [
        (WindowSchedule(ResetPeriod.HOURLY), "2026-03-01T10:59:59+00:00", "2026-03-01T10:00", "2026-03-01T11:00"),
        (
            WindowSchedule(ResetPeriod.HOURLY, zone="Asia/Kathmandu"),
            "2026-03-01T10:30+05:45",
            "2026-03-01T04:15",
            "2026-03-01T05:15",
        ),
        # the day on which New York's clocks go on has 23 hours
        (
            WindowSchedule(ResetPeriod.DAILY, zone="America/New_York"),
            "2026-03-08T12:00+00:00",
            "2026-03-08T05:00",
            "2026-03-09T04:00",
        ),
        (
            WindowSchedule(ResetPeriod.WEEKLY, Weekday.SUNDAY),
            "2026-11-24T00:00+00:00",
            "2026-11-22T00:00",
            "2026-11-29T00:00",
        ),
        (WindowSchedule(ResetPeriod.MONTHLY, day=31), "2026-02-28T00:00+00:00", "2026-02-28T00:00", "2026-03-31T00:00"),
        (WindowSchedule(ResetPeriod.MONTHLY, day=30), "2024-03-29T23:59+00:00", "2024-02-29T00:00", "2024-03-30T00:00"),
    ],
)
def test_windows_by_hand(shape, moment, start, end):
    window = shape.window(datetime.fromisoformat(moment))
    assert window == Window(*(datetime.fromisoformat(each + "+00:00") for each in (start, end)))


def test_an_hour_that_is_repeated_is_two():
    shape = WindowSchedule(ResetPeriod.HOURLY, zone="America/New_York")
    first, second = (shape.window(datetime(2026, 11, 1, hour, 30, tzinfo=UTC)) for hour in (5, 6))
    assert first.end == second.start
    assert {each.start.astimezone(ZoneInfo(shape.zone)).hour for each in (first, second)} == {1}


def test_never():
    window = WindowSchedule(ResetPeriod.NEVER, zone="Asia/Kathmandu").window(datetime(2026, 1, 1, tzinfo=UTC))
    assert window == (FIRST, LAST)
    assert window.resets_at is None
