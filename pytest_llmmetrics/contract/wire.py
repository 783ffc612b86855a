"""Records the attempts of the code under test: how long each would wait, and whether its answer is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from pytest_llmmetrics.contract.patience import FOREVER, Patience

_TIMEOUTS = {"ConnectTimeout": "connect", "ReadTimeout": "read", "WriteTimeout": "write", "PoolTimeout": "pool"}
_KEYS = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "x-amz-security-token")

SHORTEST = 8
"""The shortest key in characters: a shorter one is in any text."""


class TooManyAttemptsError(BaseException):
    """Stops a client that retries without end. A `BaseException`, so that the client cannot catch it."""


@dataclass
class SentRequest:
    """One request on the wire."""

    at: float
    """The time of its begin, on the clock of `Patience`."""
    timeouts: Mapping[str, float | None]
    unclosed: bool = False
    """Its answer was returned, and is not closed."""
    interrupted: bool = False
    """The code under test stopped waiting."""


@dataclass
class Wire:
    """All attempts. `hold` is the part of the next answer that never arrives: `headers`, `body`, or empty."""

    patience: Patience
    attempts: list[SentRequest] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    hold: str = ""
    held: asyncio.Event | None = None
    in_flight: Callable[[], object] = lambda: None
    """Called while a request is on the wire."""
    end: float = float("inf")

    def allow(self, attempts: int) -> None:
        """Allow this number of further attempts."""
        self.end = len(self.attempts) + attempts

    def begin(
        self, headers: Mapping[str, str], query: str, timeouts: Mapping[str, float | None] | None = None
    ) -> SentRequest:
        if len(self.attempts) >= self.end:
            raise TooManyAttemptsError
        self.keys |= set(_keys(headers, query))
        attempt = SentRequest(self.patience.monotonic(), timeouts or {})
        self.attempts.append(attempt)
        self.in_flight()
        return attempt

    @property
    def unclosed(self) -> int:
        """The number of open answers: each blocks a connection of the pool."""
        return sum(each.unclosed for each in self.attempts)

    def holds(self, where: str) -> bool:
        """Tell whether this part of the answer never arrives; true once."""
        if self.hold != where:
            return False
        self.hold = ""
        return True

    def interrupt(self, where: str) -> None:
        """Raise `KeyboardInterrupt` in sync code, which cannot be cancelled, instead of a part that never arrives."""
        if self.holds(where):
            raise KeyboardInterrupt

    async def stay_away(self) -> None:
        if self.held is not None:
            self.held.set()
        await asyncio.Event().wait()

    def patience_for(self, attempt: SentRequest, exc: BaseException) -> float:
        """Return the seconds that the client waits for this exception: its own timeout, or 0 for another exception."""
        kind = _TIMEOUTS.get(type(exc).__name__)
        if kind is None:
            return 0.0
        limit = attempt.timeouts.get(kind)
        return FOREVER if limit is None else limit

    async def wait_for(self, attempt: SentRequest, exc: BaseException) -> None:
        try:
            await asyncio.sleep(self.patience_for(attempt, exc))
        except BaseException:
            # the code under test has a shorter time limit
            attempt.interrupted = True
            raise


def _keys(headers: Mapping[str, str], query: str) -> Iterator[str]:
    for name in _KEYS:
        # a request to AWS has a signature, and no key
        if (value := headers.get(name)) and not value.startswith("AWS4-"):
            yield value.rpartition(" ")[2]
    yield from (value for name, value in parse_qsl(query) if name == "key")
