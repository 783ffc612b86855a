"""What the code under test does on the wire: each attempt, how long it would wait, and whether it closes the answer.

It looks where httpx and httpx2 hand over to their connection pools, beneath whatever meters.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from llmmetrics.testing import is_llm_request
from pytest_llmmetrics.contract.patience import FOREVER, Patience

_FAMILIES = ("httpx", "httpx2")
_TIMEOUTS = {"ConnectTimeout": "connect", "ReadTimeout": "read", "WriteTimeout": "write", "PoolTimeout": "pool"}
_KEYS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")

SHORTEST = 8
"""In characters: a shorter key would be found everywhere."""


class TooManyAttemptsError(BaseException):
    """A client that goes on and on. No `except Exception` of its own is to catch it."""


@dataclass
class Attempt:
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
    attempts: list[Attempt] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    hold: str = ""
    held: asyncio.Event | None = None
    in_flight: Callable[[], object] = lambda: None
    """Called while a request is on the wire."""
    end: float = float("inf")

    def allow(self, attempts: int) -> None:
        """Let the code under test make so many more."""
        self.end = len(self.attempts) + attempts

    def begin(self, request: Any) -> Attempt:
        if len(self.attempts) >= self.end:
            raise TooManyAttemptsError
        self.keys |= set(_keys(request))
        attempt = Attempt(self.patience.monotonic(), request.extensions.get("timeout", {}))
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

    def patience_for(self, attempt: Attempt, exc: BaseException) -> float:
        """Seconds that the client waits until this exception: the timeout that it has set, where it is one."""
        kind = _TIMEOUTS.get(type(exc).__name__)
        if kind is None:
            return 0.0
        limit = attempt.timeouts.get(kind)
        return FOREVER if limit is None else limit

    async def wait_for(self, attempt: Attempt, exc: BaseException) -> None:
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


def _is_llm(request: Any) -> bool:
    url = request.url
    return is_llm_request(request.method, url.host, url.port, url.path)


class _Body:
    """An answer's body on its way to the client."""

    def __init__(self, inner: Any, attempt: Attempt, wire: Wire) -> None:
        self._inner, self._attempt, self._wire = inner, attempt, wire
        attempt.unclosed = True

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._inner:
                yield chunk
                self._wire.interrupt("body")
        except GeneratorExit:
            raise
        except BaseException as exc:
            # as the pool of httpcore does
            self._attempt.unclosed = False
            self._wire.patience.sleep(self._wire.patience_for(self._attempt, exc))
            raise

    def close(self) -> None:
        self._attempt.unclosed = False
        self._inner.close()


class _AsyncBody(_Body):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._inner:
                yield chunk
                if self._wire.holds("body"):
                    await self._wire.stay_away()
        except GeneratorExit:
            raise
        except BaseException as exc:
            self._attempt.unclosed = False
            await self._wire.wait_for(self._attempt, exc)
            raise

    async def aclose(self) -> None:
        self._attempt.unclosed = False
        await self._inner.aclose()


@contextmanager
def watched(wire: Wire) -> Iterator[None]:
    """Have a `Wire` see every LLM request of this process, through httpx and httpx2, sync and async."""
    replaced: list[tuple[Any, str, Any]] = []
    for family in _FAMILIES:
        library = import_module(family)
        body = type("Body", (_Body, library.SyncByteStream), {})
        async_body = type("AsyncBody", (_AsyncBody, library.AsyncByteStream), {})
        for owner, name, made in (
            (library.HTTPTransport, "handle_request", _sync(wire, library.HTTPTransport.handle_request, body)),
            (
                library.AsyncHTTPTransport,
                "handle_async_request",
                _async(wire, library.AsyncHTTPTransport.handle_async_request, async_body),
            ),
        ):
            replaced.append((owner, name, getattr(owner, name)))
            setattr(owner, name, made)
    try:
        yield
    finally:
        for owner, name, before in replaced:
            setattr(owner, name, before)


def _sync(wire: Wire, original: Callable[[Any, Any], Any], body: type[Any]) -> Callable[[Any, Any], Any]:
    def handle_request(self: Any, request: Any) -> Any:
        if not _is_llm(request):
            return original(self, request)
        attempt = wire.begin(request)
        wire.interrupt("headers")
        try:
            response = original(self, request)
        except Exception as exc:
            wire.patience.sleep(wire.patience_for(attempt, exc))
            raise
        response.stream = body(response.stream, attempt, wire)
        return response

    return handle_request


def _async(wire: Wire, original: Callable[[Any, Any], Any], body: type[Any]) -> Callable[[Any, Any], Any]:
    async def handle_async_request(self: Any, request: Any) -> Any:
        if not _is_llm(request):
            return await original(self, request)
        attempt = wire.begin(request)
        if wire.holds("headers"):
            await wire.stay_away()
        try:
            response = await original(self, request)
        except Exception as exc:
            await wire.wait_for(attempt, exc)
            raise
        response.stream = body(response.stream, attempt, wire)
        return response

    return handle_async_request
