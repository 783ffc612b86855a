"""Requests that are no calls and bring what is counted: an answer that is fetched, a batch's file that is uploaded."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from llmmetrics.core.routes import Route
from llmmetrics.metrics.registry import CallSeries
from llmmetrics.pricing.basis import Basis
from llmmetrics.reading.endings import End
from llmmetrics.reading.results import LineBuffer, ResultReader, WholeBody
from llmmetrics.reading.uploads import UploadReader
from llmmetrics.system import processes
from llmmetrics.system.collection import collecting, collects
from llmmetrics.wire import FetchClaim
from llmmetrics.wire.format import Billing, Format, Reading
from llmmetrics.wire.framing.body_buffer import BodyBuffer
from llmmetrics.wire.framing.frames import Doc

if TYPE_CHECKING:
    from llmmetrics.budgets.batch_cost import BatchCost, BatchPricing
    from llmmetrics.budgets.journal import Entry

_FREE: Final = Format("unknown", "unknown", re.compile("(?!)"), (), lambda _: Reading(), billing=Billing.FREE)

_NO_SERIES: Final = CallSeries("", "", [], [], 0, bool, bool, bool, None)


class PassageKeeper(Protocol):
    """What a passage needs of the meter."""

    dropped: deque[Callable[[End], None]]
    """Those that the garbage collector ended: the meter finishes them later."""

    def swallow(self, where: str, exception: Exception) -> None:
        """Count an internal error and log it once."""

    def fetched(self, fetch: Fetch, *, whole: bool) -> None:
        """Count what a fetch has brought."""

    def uploaded(self, upload: Upload) -> None:
        """Note what a batch of an uploaded file may cost."""

    def give_back(self, request: UnknownRequest) -> None:
        """Tell the budget that a request is over, of which nothing is booked."""


class Passage:
    """Follows a request that is no call to its end, with the methods that a door calls on a `Call`."""

    series: CallSeries = _NO_SERIES
    """By default no backend's: it is neither limited nor changed."""
    http_status: int | None = None
    retry = streamed = gated = False
    edits = False
    """Whether its request is read on its way."""
    asynchronous = False
    """Whether the caller is an event loop, which the ledger must not block."""

    def __init__(self, meter: PassageKeeper, route: Route, format: Format) -> None:
        self.open = [processes.pid]
        self.meter = meter
        self.route = route
        self.format = format
        self.buffer: Any = BodyBuffer()

    def received(self, data: bytes) -> None:
        """Keep what is needed of the body."""
        self.buffer.feed(data)

    def grown(self, size: int) -> int:
        """Drop bytes that are no longer needed, of `size`; return how many are left."""
        return int(self.buffer.trim(size))

    def finish(self, end: End, _exception: BaseException | None = None) -> None:
        """Count what it has brought, once."""
        if collecting and self.open and collects():
            # as a call does
            self.meter.dropped.append(lambda _: self.finish(end))
            return
        try:
            if self.open.pop() != processes.pid:
                return
        except IndexError:
            return
        try:
            if self.http_status is not None and self.http_status < 300:
                self._over(whole=end is End.EXHAUSTED)
        except Exception as exc:
            self.meter.swallow("fetch", exc)

    def _over(self, *, whole: bool) -> None:
        raise NotImplementedError

    def discard(self) -> None:
        """Forget it."""
        self.open.clear()

    def __del__(self) -> None:
        if self.open:
            self.meter.dropped.append(self.finish)


class Fetch(Passage):
    """A request that fetches an answer, or the results of a batch."""

    def __init__(self, meter: PassageKeeper, route: Route, claim: FetchClaim) -> None:
        super().__init__(meter, route, claim.format)
        self.claim = claim
        self.reader: ResultReader | None = None
        """Reads the lines of a file of results."""
        self.whole: WholeBody | None = None
        """Holds a batch, whose results may stand in it, or a list."""
        if claim.format.batch and claim.results:
            self.reader = ResultReader(claim.format.batch.result)
            self.buffer = LineBuffer(self.reader.lines)
        elif claim.format.batch or not claim.id:
            self.whole = WholeBody()
            self.buffer = LineBuffer(self.whole)

    def _over(self, *, whole: bool) -> None:
        self.meter.fetched(self, whole=whole)


class Upload(Passage):
    """A request that uploads a file to a limited backend: what a batch of it may cost is added up while it passes."""

    edits = True
    cost: BatchCost | None = None
    """None: it is not a file of requests, or what one of them may cost is not known."""

    def __init__(self, meter: PassageKeeper, route: Route, format: Format, pricing: BatchPricing) -> None:
        super().__init__(meter, route, format)
        self._pricing = pricing
        self._reader: UploadReader | None = None

    def begin(self, content_type: str) -> Callable[[bytes], None]:
        """Begin to read the body; return what takes its pieces. A body that is sent again begins again."""
        self.cost = self._pricing.nothing
        self._reader = UploadReader(content_type, self._take)
        return self._reader.feed

    def _take(self, line: Doc) -> bool:
        batch = self.format.batch
        request = batch.request(line, None) if batch and self.cost else None
        part = self._pricing.request(request) if request else None
        self.cost = self.cost.plus(part) if self.cost and part else None
        return self.cost is not None

    def _over(self, *, whole: bool) -> None:  # noqa: ARG002 - the answer is a short JSON object
        if self.cost and self.cost.requests and self._reader and not self._reader.lines.broken:
            self.meter.uploaded(self)


class UnknownRequest(Passage):
    """A POST to a limited backend that no table knows: nothing of it is counted, and a spent budget refuses it."""

    model: str | None = None
    request_body = b""
    request_size = known_amount = 0
    admitted: Entry | None = None
    amount: int | None = 0
    basis = Basis.KNOWN
    batch: BatchCost | None = None
    unknown: str | None = None
    trial = None

    def __init__(self, meter: PassageKeeper, route: Route, backend: str) -> None:
        super().__init__(meter, route, _FREE)
        self.series = CallSeries(backend, "", [], [], 0, bool, bool, bool, None, limited=True)

    def finish(self, _end: End, _exception: BaseException | None = None) -> None:
        """Tell the budget that it is over."""
        self.discard()

    def discard(self) -> None:
        """Tell the budget that it is over."""
        if self.open:
            self.open.clear()
            self.meter.give_back(self)
