"""One call: from the request to its one and only finish, whatever ends it.

Whatever fails in here is counted, logged once, and swallowed: metering never breaks the user's call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING

from llmmetrics import classify
from llmmetrics.classify import ErrorType, Status
from llmmetrics.exchange import Seen, charges_of, see
from llmmetrics.pricing import attodollars, cost_of, dollars
from llmmetrics.usage import Usage, usage_of
from llmmetrics.wire import Asked, estimate
from llmmetrics.wire.encodings import UnknownEncodingError, decoder_of
from llmmetrics.wire.format import Charge
from llmmetrics.wire.frames import parse
from llmmetrics.wire.tape import Body, Tape

if TYPE_CHECKING:
    from llmmetrics.engine import Engine, Route
    from llmmetrics.metrics import Series


class End(Enum):
    """What ended a call."""

    EXHAUSTED = "the body came to its natural end"
    CLOSED = "the caller closed the answer"
    RAISED = "an exception went by"
    DROPPED = "nobody held the answer any more"


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A finished call, as the observers of `llmmetrics.testing.observe` are told of it.

    `cost_usd` is None when nobody knows the price; `usage` is None when nothing was used.
    `usage_known` is False for an estimate. Times are in seconds.
    """

    backend: str
    provider: str
    api: str
    model: str
    model_responded: str | None
    streamed: bool
    status: Status
    error_type: ErrorType | None
    http_status: int | None
    usage: Usage | None
    usage_known: bool
    cost_usd: Decimal | None
    duration: float
    time_to_first_chunk: float | None
    ended_at: datetime


observers: tuple[Callable[[CallRecord], None], ...] = ()
"""Told of every finished call of the process; empty in production."""


class Outcome:
    """What a call came to, worked out from how it ended and what its answer says."""

    __slots__ = ("charges", "error", "known", "model", "reason", "status", "unread", "usage", "wire_cost")

    def __init__(self, call: Call, end: End, exception: BaseException | None) -> None:
        self.error: ErrorType | None = None
        self.usage: Usage | None = None
        self.known = True
        self.reason: str | None = None
        self.unread: str | None = None
        self.model: str | None = None
        self.charges: tuple[Charge, ...] = ()
        self.wire_cost: Decimal | None = None
        gone = end in (End.CLOSED, End.DROPPED) or (end is End.RAISED and not isinstance(exception, Exception))
        if isinstance(exception, Exception):
            self.error = classify.error_of(exception)
        if call.http_status is None:
            self._unanswered(call, exception)
        else:
            body = self._body(call)
            if call.http_status >= 400:
                # whoever closes a refusal unread has still been refused
                self.error = self.error or classify.error_in(call.http_status, parse(body.tail))
                gone = gone and end is End.RAISED
            else:
                seen = see(call.route.claim.format, body)
                gone = gone and not (seen.ended and end is not End.RAISED)
                self._answered(call, seen, body, complete=end is End.EXHAUSTED or seen.ended, gone=gone)
        if gone:
            self.error = None
        self.status = Status.CANCELLED if gone else classify.status_of(self.error)

    def _unanswered(self, call: Call, exception: BaseException | None) -> None:
        if exception is None or not classify.never_sent(exception):
            self._estimate(call, None, Body(b"", b"", 0), "unanswered")

    def _body(self, call: Call) -> Body:
        try:
            return call.tape.body()
        except UnknownEncodingError:
            self.unread = "encoding"
        return Body(b"", b"", 0)

    def _answered(self, call: Call, seen: Seen, body: Body, *, complete: bool, gone: bool) -> None:
        reading = seen.reading
        self.model = reading.model
        self.error = self.error or classify.error_in(None, reading.error)
        if not seen.valid and complete and self.unread is None and self.error is None:
            self.unread = "malformed"
            self.error = ErrorType.UNKNOWN
        if seen.malformed_usage:
            self.unread = "usage"
        if complete and reading.usage is not None:
            self.usage, self.charges, self.wire_cost = reading.usage, charges_of(reading), reading.wire_cost
            return
        reason = self.unread or ("absent" if complete else "cancelled" if gone else "cut")
        self._estimate(call, reading.usage, body, reason)

    def _estimate(self, call: Call, read: Usage | None, body: Body, reason: str) -> None:
        """Fill in what the wire did not say: the prompt from the request, the completion from what passed."""
        self.known, self.reason = False, reason
        passed = estimate.completion_tokens(body) if body.total else 0
        if read is None:
            self.usage = usage_of({"input": estimate.prompt_tokens(call.request_body), "output": passed})
        else:
            more = max(passed - read.completion, 0)
            buckets = dict(read.buckets)
            buckets["output"] = buckets.get("output", 0) + more
            self.usage = usage_of(buckets)
        self.charges = (Charge(None, self.usage),)


class Call:
    """A metered call in flight. A transport reports what happens to it; `finish` counts it, once."""

    __slots__ = (
        "_open", "asked", "first_chunk_at", "http_status", "meter", "request_body", "route", "series", "started",
        "tape",
    )  # fmt: skip

    def __init__(self, meter: Engine, route: Route, asked: Asked, series: Series, request_body: bytes) -> None:
        self.meter = meter
        self.route = route
        self.asked = asked
        self.series = series
        self.request_body = request_body
        self.http_status: int | None = None
        self.first_chunk_at: float | None = None
        self.tape = Tape()
        # popping is atomic: of several threads and a collector, one wins
        self._open = [True]
        self.started = meter.clock.monotonic()

    def answered(self, status: int, content_encoding: str | None) -> None:
        """The headers are there."""
        self.http_status = status
        if content_encoding:
            try:
                self.tape = Tape(decoder_of(content_encoding))
            except UnknownEncodingError as exc:
                self.tape.broken = exc

    def first_chunk(self) -> None:
        """The first bytes of the body are there."""
        if self.first_chunk_at is None:
            self.first_chunk_at = self.meter.clock.monotonic()

    def finish(self, end: End, exception: BaseException | None = None) -> None:
        """Count the call, unless it has been counted."""
        if not self._open:
            return
        try:
            self._open.pop()
        except IndexError:
            return
        duration = self.meter.clock.monotonic() - self.started
        try:
            self.meter.settle(self, Outcome(self, end, exception), duration, exception)
        except Exception as exc:
            self.meter.swallow("finish", exc)
        finally:
            self.series.end()

    def discard(self) -> None:
        """It was no call after all (a redirect hop): forget it."""
        if self._open:
            self._open.clear()
            self.series.end()

    def __del__(self) -> None:
        # a collector may run anywhere, even under one of our own locks: leave the counting to the meter
        if self._open:
            self.meter.dropped.append(self.finish)

    def record(self, outcome: Outcome, duration: float, cost: int | None) -> CallRecord:
        """The finished call as a value."""
        claim = self.route.claim
        first = self.first_chunk_at
        return CallRecord(
            backend=self.series.backend,
            provider=self.route.provider,
            api=claim.format.id,
            model=self.series.model,
            model_responded=outcome.model,
            streamed=self.asked.stream,
            status=outcome.status,
            error_type=outcome.error,
            http_status=self.http_status,
            usage=outcome.usage,
            usage_known=outcome.known,
            cost_usd=None if cost is None else dollars(cost),
            duration=duration,
            time_to_first_chunk=None if first is None else first - self.started,
            ended_at=self.meter.clock.now(),
        )

    def cost(self, outcome: Outcome) -> int | None:
        """Attodollars; None when nobody knows the price."""
        own = self.route.own_price(self.asked.model)
        if own is None and outcome.wire_cost is not None:
            return attodollars(outcome.wire_cost)
        if own is not None:
            return cost_of(outcome.charges, lambda _: own)
        names = (outcome.model, self.asked.model)
        return cost_of(outcome.charges, lambda model: self.meter.catalogue_price(self.route, (model, *names)))
