"""One call: from the request to its one and only finish, whatever ends it.

Whatever fails in here is counted, logged once, and swallowed: metering never breaks the user's call.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from llmmetrics import workers
from llmmetrics.classify import ErrorType, Status
from llmmetrics.outcome import End, Outcome, outcome_of
from llmmetrics.pricing import Price, attodollars, cost_of, dollars
from llmmetrics.usage import Usage
from llmmetrics.wire import Asked
from llmmetrics.wire.format import Charge, Format
from llmmetrics.wire.tape import Tape

if TYPE_CHECKING:
    from llmmetrics.engine import Engine
    from llmmetrics.journal import Entry
    from llmmetrics.metrics import Series
    from llmmetrics.routes import Route


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A finished call, as the observers of `llmmetrics.testing.observe` are told of it.

    `cost_usd` is None when nobody knows the price; `usage` is None when nothing was used.
    `usage_known` is False for an estimate. `parts` are what is priced, each with its own model. `fingerprint` is of
    what was sent: an attempt that has the one of an attempt that failed is its retry. Times are in seconds.
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
    parts: tuple[Charge, ...]
    wire_cost_usd: Decimal | None
    """The cost that the provider itself put on the wire, where that is what the call is priced at."""
    tier: str | None
    """The service tier that answered, where it has a price of its own."""
    fingerprint: str
    url: str
    """Where it went, without the query, which may hold a key."""
    meter: Engine = field(repr=False, compare=False)
    """Whoever counted it."""
    owner: object = field(default=None, repr=False, compare=False)
    """What it belongs to by `llmmetrics.testing.set_owner`, at the moment when it began."""


observers: tuple[Callable[[CallRecord], None], ...] = ()
"""Told of every finished call of the process; empty in production."""

owner: object = None
"""What the calls that begin now belong to; None in production."""


class Call:
    """A metered call in flight. A transport reports what happens to it; `finish` counts it, once."""

    http_status: int | None = None
    first_chunk_at: float | None = None
    admitted: Entry | None = None
    """What the call is booked under, where its backend has a budget."""
    amount: int | None = None
    """Nano-dollars to book; None: nobody knows."""
    known_amount = 0
    """Nano-dollars that are known of a cost that nobody knows."""
    retry = False
    """Whether its SDK says that it sends again what has failed."""
    asynchronous = False
    """Whether its caller is an event loop, which the ledger must not hold up."""

    def __init__(
        self, meter: Engine, route: Route, format: Format, asked: Asked, series: Series, request_body: bytes
    ) -> None:
        # popping is atomic: of several threads and a collector, one wins; in a process that was forked off, none
        self._open = [workers.pid]
        self.meter = meter
        self.route = route
        self.format = format
        self.model, self.streamed = asked
        self.series = series
        self.request_body = request_body
        self.tape = Tape()
        self.owner = owner
        self.started = meter.clock.monotonic()

    def first_chunk(self) -> None:
        """The first bytes of the body are there."""
        if self.first_chunk_at is None:
            self.first_chunk_at = self.meter.clock.monotonic()

    def finish(self, end: End, exception: BaseException | None = None) -> None:
        """Count the call, unless it has been counted."""
        if not self._open:
            return
        if exception is not None and isinstance(exception, AssertionError):
            # a test's own: a mock that was not told of this request, and no answer of any provider
            self.discard()
            return
        try:
            if self._open.pop() != workers.pid:
                return
        except IndexError:
            return
        try:
            duration = self.meter.clock.monotonic() - self.started
            outcome = outcome_of(
                self.format, self.http_status, self.tape, self.request_body, end, exception, self.model
            )
            self.meter.settle(self, outcome, duration, exception)
        except Exception as exc:
            self.meter.swallow("finish", exc)
        finally:
            self._close()

    def _close(self) -> None:
        if self.admitted is not None:
            self.meter.book(self)
        try:
            self.series.active(-1)
        except Exception as exc:
            self.meter.swallow("close", exc)

    def discard(self) -> None:
        """It was no call after all (a redirect hop): forget it."""
        try:
            if self._open.pop() == workers.pid:
                self.amount = 0
                self._close()
        except IndexError:
            return

    def __del__(self) -> None:
        # a collector may run anywhere, even under one of our own locks: leave the counting to the meter
        if self._open:
            self.meter.dropped.append(self.finish)

    def cost(self, outcome: Outcome, usage: Usage) -> int | None:
        """Attodollars; None when nobody knows the price."""
        own = self.series.price
        if own is not None and not outcome.charges:
            return own.of(usage)
        if own is not None:
            return cost_of(outcome.charges, lambda _: own)
        if outcome.wire_cost is not None and self._by_wire(outcome):
            return attodollars(outcome.wire_cost)
        if outcome.charges:
            return cost_of(outcome.charges, self._listed(outcome, outcome.tier))
        price = self.meter.tariff.listed(self.route, (outcome.model, self.model), outcome.tier)
        return None if price is None else price.of(usage)

    def least(self, outcome: Outcome, usage: Usage) -> int:
        """Attodollars that a call without a known price costs at least: of its tokens, at standard prices."""
        listed = self._listed(outcome, None)
        charges = outcome.charges or (Charge(None, usage),)
        prices = [(self.series.price or listed(charge.model), charge.usage) for charge in charges]
        return sum(price.least(used) for price, used in prices if price)

    def _listed(self, outcome: Outcome, tier: str | None) -> Callable[[str | None], Price | None]:
        """What the price file or the catalogue says of a part's model, of the one that answered, or was asked for."""
        names, listed = (outcome.model, self.model), self.meter.tariff.listed
        return lambda model: (model and listed(self.route, (model,), tier)) or listed(self.route, names, tier)

    def _by_wire(self, outcome: Outcome) -> bool:
        """Whether the call costs what the wire says: nothing of the user's own has a price for it."""
        if outcome.wire_cost is None or self.series.price is not None:
            return False
        names = (*(charge.model for charge in outcome.charges), outcome.model, self.model)
        return self.meter.tariff.filed(self.route, names, outcome.tier) is None

    def record(self, outcome: Outcome, duration: float, cost: int | None) -> CallRecord:
        """The finished call as a value."""
        first = self.first_chunk_at
        return CallRecord(
            backend=self.series.backend,
            provider=self.route.provider,
            api=self.format.id,
            model=self.series.model,
            model_responded=outcome.model,
            streamed=self.streamed,
            status=outcome.status,
            error_type=outcome.error,
            http_status=self.http_status,
            usage=outcome.usage,
            usage_known=outcome.known,
            cost_usd=None if cost is None else dollars(cost),
            duration=duration,
            time_to_first_chunk=None if first is None else first - self.started,
            ended_at=self.meter.clock.now(),
            parts=outcome.charges or (() if outcome.usage is None else (Charge(None, outcome.usage),)),
            wire_cost_usd=outcome.wire_cost if self._by_wire(outcome) else None,
            tier=outcome.tier,
            fingerprint=hashlib.blake2b(self.route.url.encode() + b"\n" + self.request_body, digest_size=8).hexdigest(),
            url=self.route.url,
            meter=self.meter,
            owner=self.owner,
        )
