"""Types of the settings' fields that several sections have."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field

from llmmetrics.settings.rates import Section
from llmmetrics.settings.windows import ResetPeriod, Weekday


def enum_of(kind: type[StrEnum]) -> Any:
    """Make a validator that reads a value of this enum in any case."""
    known = {each.value.casefold(): each for each in kind}
    return BeforeValidator(lambda value: known.get(value.casefold(), value) if isinstance(value, str) else value)


def zone(name: str) -> str:
    """Validate the name of a time zone."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("should be an IANA time zone such as UTC or Europe/Vienna") from None
    return name


Limit = Annotated[Decimal, Field(gt=0, le=9_000_000, allow_inf_nan=False, decimal_places=12)]
"""USD, to the pico-dollar; the maximum is what every ledger can store exactly."""


class SpendWindows(Section):
    """When a limit's spend starts again at 0."""

    spend_reset_period: Annotated[ResetPeriod, enum_of(ResetPeriod)] = ResetPeriod.MONTHLY
    """By default Monthly: neither the guide nor the contract names a default."""
    spend_reset_day_of_week: Annotated[Weekday, enum_of(Weekday)] = Weekday.MONDAY
    spend_reset_day_of_month: int = Field(default=1, ge=1, le=31)
    """In a month without this day, its last day."""
    spend_reset_time_zone: Annotated[str, AfterValidator(zone)] = "UTC"
