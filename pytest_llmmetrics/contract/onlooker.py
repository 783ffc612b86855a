"""Shows a `Wire` each LLM request through urllib3 and aiohttp: requests, boto3, aiobotocore, httpx above aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from llmmetrics.testing import Request
from pytest_llmmetrics.contract.patience import FOREVER
from pytest_llmmetrics.contract.wire import SentRequest, Wire


class WireOnlooker:
    """Sees one request and its answer at a stand-in."""

    def __init__(self, wire: Wire, attempt: SentRequest) -> None:
        self._wire = wire
        self._attempt = attempt

    def sends(self, part: str) -> bool:
        if part == "headers":
            self._attempt.unclosed = True
        if not self._wire.holds(part):
            return True
        if self._wire.held is None:
            self._attempt.unclosed = False
            # sync code cannot be cancelled
            raise KeyboardInterrupt
        self._wire.held.set()
        return False

    def waits(self, seconds: float | None) -> None:
        self._attempt.unclosed = False
        self._wire.patience.sleep(FOREVER if seconds is None else seconds)

    async def awaits(self, seconds: float | None) -> None:
        try:
            await asyncio.sleep(FOREVER if seconds is None else seconds)
        except BaseException:
            # the code under test has a shorter time limit
            self._attempt.interrupted = True
            raise

    def closed(self, *, early: bool = False) -> None:
        self._attempt.unclosed = False
        self._attempt.interrupted = self._attempt.interrupted or early


def looking(wire: Wire) -> Callable[[Request], WireOnlooker]:
    """Return what a stand-in calls with each request."""
    return lambda request: WireOnlooker(wire, wire.begin(request.headers, request.query))
