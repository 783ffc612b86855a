"""One request that fetches an answer or a batch's results. It is no call, and is never refused."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from llmmetrics.core.routes import Route
from llmmetrics.metrics.registry import CallSeries
from llmmetrics.reading.endings import End
from llmmetrics.reading.results import LineBuffer, ResultReader
from llmmetrics.system import processes
from llmmetrics.wire import FetchClaim
from llmmetrics.wire.framing.body_buffer import BodyBuffer

LARGEST_BATCH = 64 << 20
"""Bytes of a batch with its results in it. Of a larger one nothing is counted: it stays pending."""

_NO_SERIES: Final = CallSeries("", "", lambda _: None, lambda _: None, None)


class FetchKeeper(Protocol):
    """What a fetch needs of the meter."""

    dropped: deque[Callable[[End], None]]
    """Fetches that the garbage collector ended: the meter finishes them later."""

    def swallow(self, where: str, exception: Exception) -> None:
        """Count an internal error and log it once."""

    def fetched(self, fetch: Fetch, *, whole: bool) -> None:
        """Count what a fetch has brought."""


class Fetch:
    """Follows the body of a fetched answer, with the methods that a door calls on a `Call`."""

    series = _NO_SERIES
    """No backend's: it is neither limited nor changed."""
    http_status: int | None = None
    retry = streamed = False
    asynchronous = False
    """Whether the caller is an event loop, which the ledger must not block."""

    def __init__(self, meter: FetchKeeper, route: Route, claim: FetchClaim) -> None:
        self._open = [processes.pid]
        self.meter = meter
        self.route = route
        self.claim = claim
        self.format = claim.format
        self.reader: ResultReader | None = None
        """Reads the lines of a file of results."""
        self.buffer: Any = BodyBuffer()
        if claim.format.batch and claim.results:
            self.reader = ResultReader(claim.format.batch.result)
            self.buffer = LineBuffer(self.reader.lines)
        elif claim.format.batch:
            # the results may stand in the batch itself
            self.buffer = BodyBuffer(most=LARGEST_BATCH)

    def first_chunk(self) -> None:
        """Do nothing: only a call has a time to its first chunk."""

    def finish(self, end: End, _exception: BaseException | None = None) -> None:
        """Count what was fetched, once."""
        try:
            if self._open.pop() != processes.pid:
                return
        except IndexError:
            return
        try:
            if self.http_status is not None and self.http_status < 300:
                self.meter.fetched(self, whole=end is End.EXHAUSTED)
        except Exception as exc:
            self.meter.swallow("fetch", exc)

    def discard(self) -> None:
        """Forget the fetch."""
        self._open.clear()

    def __del__(self) -> None:
        if self._open:
            self.meter.dropped.append(self.finish)
