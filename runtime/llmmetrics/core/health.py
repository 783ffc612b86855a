"""Passive health of one backend, from the results of its calls, with hysteresis."""

from __future__ import annotations

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
