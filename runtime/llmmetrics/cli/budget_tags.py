"""What `llmmetrics budget show --by TAG` prints: the ledger's sums of a tag, by value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta

from llmmetrics.budgets.amounts import usd
from llmmetrics.budgets.tag_sums import day_of
from llmmetrics.cli.output.findings import shown
from llmmetrics.cli.output.tables import aligned, money
from llmmetrics.errors import ConfigError

_SPAN = re.compile(r"(\d{4})-(\d\d)(?:-(\d\d))?")


def days_of(span: str | None, now: datetime) -> tuple[int, int]:
    """Return the first and the last day of a month or a day (UTC), in days since 1970; None is this month.

    Raises `ConfigError` for any other text.
    """
    match = _SPAN.fullmatch(span or now.astimezone(UTC).strftime("%Y-%m"))
    try:
        year, month, day = (int(part) if part else None for part in match.groups()) if match else (None, None, None)
        if year is None or month is None:
            raise ConfigError(f"--window {span!r} is no month and no day: write it as 2026-11 or 2026-11-27")
        first = date(year, month, day or 1)
    except ValueError:
        raise ConfigError(f"--window {span!r} is in no calendar: write it as 2026-11 or 2026-11-27") from None
    last = first if day else (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    return _day(first), _day(last)


def _day(of: date) -> int:
    return day_of(datetime(of.year, of.month, of.day, tzinfo=UTC))


def sums_table(tag: str, sums: Mapping[str, int]) -> Iterable[str]:
    """Make the table of a tag's values, the most expensive first, with the total."""
    rows = [(shown(value), money(usd(amount))) for value, amount in _ordered(sums)]
    return aligned([(tag, "spent USD"), *rows, ("total", money(usd(sum(sums.values()))))])


def sum_fields(sums: Mapping[str, int]) -> Iterable[Mapping[str, object]]:
    """Make the JSON objects of a tag's values; amounts are USD as strings."""
    return [{"value": value, "spent_usd": money(usd(amount))} for value, amount in _ordered(sums)]


def _ordered(sums: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(sums.items(), key=lambda each: (-each[1], each[0]))
