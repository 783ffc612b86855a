"""When a failover may try a backend: after its `Retry-After`, and once per `ProbeSeconds` while it is unhealthy.

The backend's health is the circuit: healthy is closed, unhealthy is open, and a probe is the half-open state. Times
are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from threading import Lock

from llmmetrics.core.health import BackendHealth

_WEIGHT = 0.2
"""Weight of the newest duration in the moving average."""


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return how many seconds an answer's headers ask to wait; None if they do not say.

    `Retry-After` is a number of seconds or a date (RFC 9110, section 10.2.3); OpenAI and Azure send milliseconds too.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        if text.replace(".", "", 1).isdecimal():
            return float(text) * unit
    try:
        date = parsedate_to_datetime(headers.get("retry-after", ""))
        return max((date - now).total_seconds(), 0.0)
    except (TypeError, ValueError):
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
