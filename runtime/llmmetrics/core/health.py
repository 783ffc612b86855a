"""Passive health of one backend: what its calls say, with hysteresis."""

from __future__ import annotations

from threading import Lock

from llmmetrics.reading.error_types import ErrorType, Status

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


class BackendHealth:
    """`unhealthy` failures in a row turn a backend down, `healthy` successes turn it up again.

    One of several workers is not `proven` at its start: it tells that the backend is up once it has seen it, since
    what another said before it was gone would hold for ever.
    """

    def __init__(self, unhealthy: int, healthy: int, *, proven: bool = True) -> None:
        self._proven = proven
        self._needed = {True: unhealthy, False: healthy}
        self._lock = Lock()
        self._against = 0
        self._for = 0
        self._changed = float("-inf")
        self.up = True
        self.calm = proven
        """Up, with nothing against it: a success changes nothing."""

    def record(self, speaks_for: bool, began: float, now: float) -> bool:
        """Take one call's verdict; whether the state is to be told of. `began` and `now` are monotonic seconds."""
        with self._lock:
            # what began before the last change was sent to the backend as it was then
            if began < self._changed:
                return False
            self._against = 0 if speaks_for is self.up else self._against + 1
            self._for = self._for + 1 if speaks_for is self.up else 0
            turned = self._against >= self._needed[self.up]
            if turned:
                self.up, self._against, self._changed = not self.up, 0, now
            told = turned or (not self._proven and self._for >= self._needed[not self.up])
            self._proven = self._proven or told
            self.calm = self._proven and self.up and not self._against
            return told
