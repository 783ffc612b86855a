"""What the code under test does on the wire: each attempt, how long it would wait, and whether it closes the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_llmmetrics.contract.patience import FOREVER, Patience

_TIMEOUTS = {"ConnectTimeout": "connect", "ReadTimeout": "read", "WriteTimeout": "write", "PoolTimeout": "pool"}
_KEYS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")

SHORTEST = 8
"""In characters: a shorter key would be found everywhere."""


class TooManyAttemptsError(BaseException):
    """A client that goes on and on. No `except Exception` of its own is to catch it."""


@dataclass
class SentRequest:
    """One request on the wire."""

    at: float
    """When it began, on the clock of `Patience`."""
    timeouts: Mapping[str, float | None]
    unclosed: bool = False
    """Its answer was handed over, and has not been closed."""
    interrupted: bool = False
    """The code under test went away while it waited."""


@dataclass
class Wire:
    """Every attempt so far. `hold` says where the next answer stays away: `headers`, `body`, or nowhere."""

    patience: Patience
    attempts: list[SentRequest] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    hold: str = ""
    held: asyncio.Event | None = None
    in_flight: Callable[[], object] = lambda: None
    """Called while a request is on the wire."""
    end: float = float("inf")

    def allow(self, attempts: int) -> None:
        """Let the code under test make so many more."""
        self.end = len(self.attempts) + attempts

    def begin(self, request: Any) -> SentRequest:
        if len(self.attempts) >= self.end:
            raise TooManyAttemptsError
        self.keys |= set(_keys(request))
        attempt = SentRequest(self.patience.monotonic(), request.extensions.get("timeout", {}))
        self.attempts.append(attempt)
        self.in_flight()
        return attempt

    @property
    def unclosed(self) -> int:
        """How many answers are open: each keeps a connection from the pool."""
        return sum(each.unclosed for each in self.attempts)

    def holds(self, where: str) -> bool:
        """Whether the answer stays away here; once."""
        if self.hold != where:
            return False
        self.hold = ""
        return True

    def interrupt(self, where: str) -> None:
        """What comes instead of an answer that stays away, for who cannot be cancelled otherwise."""
        if self.holds(where):
            raise KeyboardInterrupt

    async def stay_away(self) -> None:
        if self.held is not None:
            self.held.set()
        await asyncio.Event().wait()

    def patience_for(self, attempt: SentRequest, exc: BaseException) -> float:
        """Seconds that the client waits until this exception: the timeout that it has set, where it is one."""
        kind = _TIMEOUTS.get(type(exc).__name__)
        if kind is None:
            return 0.0
        limit = attempt.timeouts.get(kind)
        return FOREVER if limit is None else limit

    async def wait_for(self, attempt: SentRequest, exc: BaseException) -> None:
        try:
            await asyncio.sleep(self.patience_for(attempt, exc))
        except BaseException:
            # a time limit of the code under test was shorter
            attempt.interrupted = True
            raise


def _keys(request: Any) -> Iterator[str]:
    for name in _KEYS:
        if value := request.headers.get(name):
            yield value.rpartition(" ")[2]
    if key := request.url.params.get("key"):
        yield key
