"""Values that change from run to run, known by their form: identifiers, times, long hexadecimal numbers. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

_DATE = r"(?:19|20)\d\d-[01]\d-[0-3]\d"
_TIME = r"[0-2]\d:[0-5]\d(?::[0-6]\d(?:[.,]\d+)?)?(?:Z|\s?[+-][01]\d:?[0-5]\d)?"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"

_FORMS = re.compile(
    r"(?P<uuid>\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b)"
    rf"|(?P<time>\b{_DATE}[T ]{_TIME}"
    rf"|\b(?:[A-Z][a-z]{{2}}, )?\d{{1,2}} {_MONTH} (?:19|20)\d\d {_TIME}(?: (?:GMT|UTC))?)"
    rf"|(?P<date>\b{_DATE}\b|\b\d{{1,2}} {_MONTH},? (?:19|20)\d\d\b|\b{_MONTH} \d{{1,2}},? (?:19|20)\d\d\b)"
    r"|(?P<epoch>(?<![\w.])(?:1[5-9]|2[0-4])\d{8}(?:\d{3}|\d{6}|\.\d+)?(?!\w|\.\d))"
    r"|(?P<id>\b(?:call|toolu|srvtoolu|msg|resp|chatcmpl|fc|rs|run|thread|req|tooluse|pyd_ai|lc_run)_+[A-Za-z0-9_-]{6,})"
    r"|(?P<hex>(?<![0-9A-Za-z])(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{16,}(?![0-9A-Za-z]))"
)
_STEADY = {
    "uuid": "00000000-0000-4000-8000-000000000000",
    "time": "2000-01-01T00:00:00Z",
    "date": "2000-01-01",
    "epoch": "1500000000",
    "id": "call_00000000",
    "hex": "0000000000000000",
}
_WORDS = {"uuid": "a uuid", "time": "a timestamp", "date": "a date", "epoch": "a timestamp", "id": "an id"}
_DIGIT = re.compile(r"\d")


class Volatile(NamedTuple):
    """A value in a text that another run writes otherwise."""

    start: int
    end: int
    kind: str

    @property
    def words(self) -> str:
        return _WORDS.get(self.kind, "a hexadecimal number")


def steady(value: Any) -> Any:
    """Return a JSON value whose volatile texts are replaced by one text for each form."""
    if isinstance(value, str):
        # every form has a digit, but for a few identifiers: most strings have none
        if len(value) < 8 or not (_DIGIT.search(value) or "_" in value):
            return value
        return _FORMS.sub(lambda match: _STEADY[match.lastgroup or "hex"], value)
    if isinstance(value, list):
        return [steady(each) for each in value]
    if isinstance(value, dict):
        return {key: steady(each) for key, each in value.items()}
    return value


def volatile_at(text: str, position: int) -> Volatile | None:
    """Return the volatile value that covers a position of a text."""
    # no form is longer than a line; 200 characters reach its beginning
    for each in volatiles(text, max(position - 200, 0), position + 200):
        if each.start <= position < each.end:
            return each
    return None


def volatiles(text: str, start: int = 0, end: int | None = None) -> Iterator[Volatile]:
    """Yield the volatile values of a part of a text."""
    for match in _FORMS.finditer(text, start, len(text) if end is None else min(end, len(text))):
        yield Volatile(match.start(), match.end(), match.lastgroup or "hex")


_ZONES = 15 * 60
"""The difference of any time zone from UTC is a multiple of it, in seconds."""
_SECONDS = re.compile(r"\d\d:\d\d:\d\d")
_NEAR = 90
"""Seconds between the present time in a request and the end of its call."""


def present_time(text: str, now: datetime) -> int | None:
    """Return where a text says the time of its call, in any time zone; None: it does not.

    A fixed time, such as one in test data, is not the present. A time without seconds, or a whole quarter of an hour,
    may be rounded: whether it is near the present is then a matter of chance.
    """
    if ":" not in text and not _DIGIT.search(text):
        return None
    for each in volatiles(text):
        at = _moment(text[each.start : each.end], each.kind)
        if at is not None and (at.minute % 15 or at.second or at.microsecond):
            apart = abs((now - at).total_seconds())
            if apart < 26 * 3600 and min(apart % _ZONES, _ZONES - apart % _ZONES) <= _NEAR:
                return each.start
    return None


def _moment(text: str, kind: str) -> datetime | None:
    try:
        if kind == "epoch":
            number = float(text)
            digits = 0 if number < 1e11 else 3 if number < 1e14 else 6
            return datetime.fromtimestamp(number / 10**digits, UTC)
        if kind != "time":
            return None
        if not _SECONDS.search(text):
            return None
        at = parsedate_to_datetime(text) if text[4:5] != "-" else datetime.fromisoformat(text.replace(",", "."))
    except (ValueError, OverflowError, TypeError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
