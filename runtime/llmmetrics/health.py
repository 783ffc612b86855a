"""Passive health of one backend: what its calls say, with hysteresis."""

from __future__ import annotations

from threading import Lock

from llmmetrics.classify import ErrorType, Status

_FAULTS = frozenset({ErrorType.TIMEOUT, ErrorType.NETWORK, ErrorType.RATE_LIMIT, ErrorType.AUTH})


def verdict(status: Status, error: ErrorType | None, http_status: int | None, *, pool: bool) -> bool | None:
    """Whether a finished call speaks for its backend (True), against it (False), or says nothing (None).

    A pool timeout and the client errors that remain are the caller's; a cancelled call tells nothing.
    """
    if status is Status.SUCCESS:
        return True
    if status is Status.CANCELLED or pool:
        return None
    at_fault = error in _FAULTS or (http_status is not None and http_status >= 500)
    return False if at_fault else None


class Health:
    """`unhealthy` failures in a row turn a backend down, `healthy` successes turn it up again."""

    def __init__(self, unhealthy: int, healthy: int) -> None:
        self._needed = {True: unhealthy, False: healthy}
        self._lock = Lock()
        self._against = 0
        self._changed = float("-inf")
        self.up = True
        self.calm = True
        """Up, with nothing against it: a success changes nothing."""

    def record(self, speaks_for: bool, began: float, now: float) -> bool:
        """Take one call's verdict; whether it changed the state. `began` and `now` are monotonic seconds."""
        with self._lock:
            # what began before the last change was sent to the backend as it was then
            if began < self._changed:
                return False
            self._against = 0 if speaks_for is self.up else self._against + 1
            turned = self._against >= self._needed[self.up]
            if turned:
                self.up, self._against, self._changed = not self.up, 0, now
            self.calm = self.up and not self._against
            return turned
