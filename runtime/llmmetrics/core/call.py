"""One call: from the request to its single finish, in every way that a call can end.

An error in this code is counted, logged once, and swallowed: metering never breaks the user's call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from llmmetrics.core import record
from llmmetrics.core.routes import Route
from llmmetrics.metrics.registry import CallSeries
from llmmetrics.pricing.basis import Basis
from llmmetrics.reading.endings import End
from llmmetrics.reading.outcome import Outcome, outcome_of
from llmmetrics.system import processes
from llmmetrics.system.clock import Clock
from llmmetrics.system.collection import collecting, collects
from llmmetrics.wire import Asked
from llmmetrics.wire.format import Format
from llmmetrics.wire.framing.body_buffer import HELD, BodyBuffer
from llmmetrics.wire.later import LaterAnswer

if TYPE_CHECKING:
    # of budgets and failovers, which most programs do not have
    from llmmetrics.budgets.batch_cost import BatchCost
    from llmmetrics.budgets.journal import Entry
    from llmmetrics.budgets.run import Hold, Run
    from llmmetrics.budgets.run_answers import PendingHold
    from llmmetrics.core.trial import Trial


class CallKeeper(Protocol):
    """What a call needs of the meter that counts it."""

    clock: Clock
    dropped: deque[Callable[[End], None]]
    """Calls that the garbage collector ended: the meter finishes them later."""

    def swallow(self, where: str, exception: Exception) -> None:
        """Count an internal error and log it once."""

    def settle(self, call: Call, outcome: Outcome, duration: float, exception: BaseException | None) -> None:
        """Count a finished call; `duration` is in seconds."""

    def book(self, call: Call) -> None:
        """Book the cost of a finished call, and keep the id of an answer that comes later."""


class Call:
    """A metered call in flight. A transport reports what happens to it; `finish` counts it, once."""

    http_status: int | None = None
    first_chunk_at: float | None
    admitted: Entry | None
    """The entry that the call is booked under, if its backend has a budget."""
    amount: int | None = None
    """Pico-dollars to book; None if no price is known."""
    known_amount = 0
    """Lower bound, in pico-dollars, of a cost that is only partly known."""
    known_tokens = 0
    """The part of estimated tokens that was read."""
    basis = Basis.KNOWN
    """How sure `amount` is."""
    later: LaterAnswer | None = None
    """The answer that comes later, or that was made in the background."""
    batch: BatchCost | None = None
    """What the requests of a batch may cost, if its backend has a budget."""
    unknown: str | None
    """Why its usage is not known."""
    all_tags: Mapping[str, str] = MappingProxyType({})
    """Its tags as the caller has set them."""
    tags: tuple[tuple[str, str], ...] = ()
    """The keys and values of its tags that are counted."""
    uploading: int | None = None
    """The size of a request with uploads that are not in `request_body`, in bytes."""
    attributed: bool
    """Whether it may have tags, runs or a trial."""
    gated: bool
    """Whether the runs have a say: it belongs to one, or has to."""
    edits: bool
    """Whether its request may have to be changed: to one for a stream's usage."""
    runs: tuple[Run, ...]
    """The runs that it belongs to."""
    holds: list[Hold]
    """What its runs have reserved for it."""
    pending: list[PendingHold]
    """What its answer, which comes later, may come to in each of its runs."""
    sent = True
    """False for a request that was not sent, or is no call."""
    tokens = 0
    """Prompt and completion tokens."""
    trial: Trial | None = None
    """The try of a failover that it belongs to."""
    retry: bool
    """Whether the SDK's headers say that this attempt repeats a failed one."""
    asynchronous = False
    """Whether the caller is an event loop, which the ledger must not block."""

    def __init__(
        self, meter: CallKeeper, route: Route, format: Format, asked: Asked, series: CallSeries, request_body: bytes
    ) -> None:
        self.open = [processes.pid]
        """Empty once it is finished. pop() is atomic: of several threads and the garbage collector, one wins; in a
        forked process, none."""
        self.meter = meter
        self.route = route
        self.format = format
        self.model, self.streamed = asked
        self.series = series
        self.request_body = request_body
        self.buffer = BodyBuffer()
        self.owner = record.owner
        # what each call is asked for: to find a default in the class takes three times as long as to set it here
        self.edits = self.gated = self.attributed = self.retry = False
        self.admitted = self.first_chunk_at = self.unknown = None
        self.runs = ()
        self.started = meter.clock.monotonic()

    @property
    def request_size(self) -> int:
        """In bytes, with the uploads that are not in `request_body`."""
        return self.uploading or len(self.request_body)

    def first_chunk(self) -> None:
        """Note the time of the body's first bytes."""
        if self.first_chunk_at is None:
            self.first_chunk_at = self.meter.clock.monotonic()

    def received(self, data: bytes) -> None:
        """Note the first bytes of a stream, and keep what is needed of all of them."""
        if self.streamed and data:
            self.first_chunk()
        self.buffer.feed(data)

    def grown(self, size: int) -> int:
        """Note the first bytes of a stream, and drop what need not be kept; return how many bytes are left."""
        if self.streamed:
            self.first_chunk()
        return self.buffer.trim(size) if size > HELD else size

    def finish(self, end: End, exception: BaseException | None = None) -> None:
        """Count the call, unless it has been counted."""
        if not self.open:
            return
        if collecting and collects():
            # an SDK's finaliser closes its answer: the meter counts it later
            self.meter.dropped.append(lambda _: self.finish(end, exception))
            return
        if exception is not None and isinstance(exception, AssertionError):
            # a test's assertion: a mock has no rule for this request, so no provider has answered
            self.discard()
            return
        try:
            if self.open.pop() != processes.pid:
                return
        except IndexError:
            return
        try:
            duration = self.meter.clock.monotonic() - self.started
            outcome = outcome_of(
                self.format, self.http_status, self.buffer, self.request_body, end, exception, self.model
            )
            if not (outcome.plain or outcome.shows_an_answer):
                # those were the first bytes of a refusal
                self.first_chunk_at = None
            self.meter.settle(self, outcome, duration, exception)
        except Exception as exc:
            self.meter.swallow("finish", exc)
        finally:
            self._close()

    def _close(self) -> None:
        if self.admitted is not None or self.later is not None or self.runs:
            self.meter.book(self)
        try:
            self.series.end()
        except Exception as exc:
            self.meter.swallow("close", exc)

    def discard(self) -> None:
        """Forget the call: the request was not an LLM call (a redirect hop)."""
        try:
            if self.open.pop() == processes.pid:
                self.amount, self.sent = 0, False
                self._close()
        except IndexError:
            return

    def __del__(self) -> None:
        # the garbage collector may run anywhere, even while we hold a lock: the meter counts the call later
        if self.open:
            self.meter.dropped.append(self.finish)
