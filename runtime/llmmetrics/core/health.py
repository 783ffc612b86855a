"""Health of one backend: from the results of its calls, with hysteresis; and when a failover may try it.

The health is the failover's circuit: healthy is closed, unhealthy is open, and a probe is the half-open state. Times
are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from threading import Lock

from llmmetrics.reading.error_types import ErrorType, Status

_FAULTS = frozenset({ErrorType.TIMEOUT, ErrorType.NETWORK, ErrorType.RATE_LIMIT, ErrorType.AUTH})


def verdict(status: Status, error: ErrorType | None, http_status: int | None, *, pool: bool) -> bool | None:
    """Judge a finished call: True for a healthy backend, False for an unhealthy one, None for neither.

    A pool timeout and other client errors are the caller's fault; a cancelled call says nothing.
    """
    if status is Status.SUCCESS:
        return True
    if status is Status.CANCELLED or pool:
        return None
    at_fault = error in _FAULTS or (http_status is not None and http_status >= 500)
    return False if at_fault else None


class BackendHealth:
    """`unhealthy` failures in a row make a backend unhealthy, `healthy` successes in a row make it healthy again.

    With several workers, a new one is not `proven`: it reports the backend as healthy after its own successes, because
    otherwise the last report of an ended worker would stay.
    """

    def __init__(self, unhealthy: int, healthy: int, *, proven: bool = True) -> None:
        self._proven = proven
        self._needed = {True: unhealthy, False: healthy}
        self._lock = Lock()
        self._against = 0
        self._for = 0
        self.changed = float("-inf")
        """When the state last changed, in monotonic seconds."""
        self.up = True
        self.calm = proven
        """Whether the backend is up without recent failures, so that a success changes nothing."""

    def record(self, speaks_for: bool, began: float, now: float) -> bool:
        """Record a call's verdict; return whether to report the state. `began` and `now` are monotonic seconds."""
        with self._lock:
            # a call that began before the last change says nothing about the new state
            if began < self.changed:
                return False
            self._against = 0 if speaks_for is self.up else self._against + 1
            self._for = self._for + 1 if speaks_for is self.up else 0
            turned = self._against >= self._needed[self.up]
            if turned:
                self.up, self._against, self.changed = not self.up, 0, now
            told = turned or (not self._proven and self._for >= self._needed[not self.up])
            self._proven = self._proven or told
            self.calm = self._proven and self.up and not self._against
            return told


_WEIGHT = 0.2
"""Weight of the newest duration in the moving average."""


_LONGEST_WAIT = 31 * 86_400.0
"""Seconds. A header that asks for more is wrong; it would make a date that no calendar has."""


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return how many seconds an answer's headers ask to wait; None if they do not say.

    `Retry-After` is a number of seconds or a date (RFC 9110, section 10.2.3); OpenAI and Azure send milliseconds too.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        if text.replace(".", "", 1).isdecimal():
            return min(float(text) * unit, _LONGEST_WAIT)
    try:
        date = parsedate_to_datetime(headers.get("retry-after", ""))
        return min(max((date - now).total_seconds(), 0.0), _LONGEST_WAIT)
    except (TypeError, ValueError, OverflowError):
        return None


class Circuit:
    """What a failover knows of one backend, and its health does not."""

    def __init__(self, health: BackendHealth, probe_seconds: float) -> None:
        self.latency: float | None = None
        """Moving average of the durations of the tries that it answered, in seconds."""
        self._health = health
        self._probe_seconds = probe_seconds
        self._probed = float("-inf")
        self._not_before = float("-inf")
        self._lock = Lock()

    @property
    def up(self) -> bool:
        """Whether the backend is healthy."""
        return self._health.up

    def opens(self) -> float:
        """Return when the backend may be tried; -inf for now."""
        if self.up:
            return self._not_before
        return max(self._not_before, max(self._health.changed, self._probed) + self._probe_seconds)

    def claim(self, now: float) -> bool:
        """Return whether to try the backend now. Of several callers, one gets the probe of an unhealthy backend."""
        with self._lock:
            if now < self.opens():
                return False
            if not self.up:
                self._probed = now
            return True

    def answered(self, duration: float | None) -> None:
        """Note a try that the backend answered, and its duration in seconds."""
        if duration is not None:
            before = duration if self.latency is None else self.latency
            self.latency = before + _WEIGHT * (duration - before)

    def wait(self, until: float) -> None:
        """Do not try the backend before this time."""
        with self._lock:
            self._not_before = max(self._not_before, until)
