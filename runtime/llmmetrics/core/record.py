"""A finished call as a value, and the observers that receive it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from weakref import WeakSet

from llmmetrics.reading.error_types import ErrorType, Status
from llmmetrics.wire.format import Charge
from llmmetrics.wire.usage import Usage


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A finished call, as the observers of `llmmetrics.testing.observe` receive it.

    `cost_usd` is None if no price is known; `usage` is None if nothing was used.
    `usage_known` is False for an estimate. `parts` are the priced parts, each with its own model. `fingerprint` is a
    hash of the request: an attempt with the fingerprint of a failed attempt is its retry. Times are in seconds.
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
    """The cost in USD that the provider put on the wire, if it is the call's price."""
    tier: str | None
    """The service tier that answered, if it has a price of its own."""
    fingerprint: str
    url: str
    """Where the request went, without the query, which may hold a key."""
    meter: Any = field(repr=False, compare=False)
    """The engine of the meter that counted the call."""
    owner: object = field(default=None, repr=False, compare=False)
    """The owner set by `llmmetrics.testing.set_owner` when the call began."""
    tags: tuple[tuple[str, str], ...] = ()
    """The keys and values of `llmmetrics.tags` around the call, sorted; also of keys that the settings do not count."""
    request_body: bytes = field(default=b"", repr=False, compare=False)
    """The request as it was sent; empty if it was a stream."""


observers: tuple[Callable[[CallRecord], None], ...] = ()
"""Called with every finished call of the process; empty in production."""

owner: object = None
"""The owner of calls that begin now; None in production."""

alive: WeakSet[Any] = WeakSet()
"""The engine of every meter of the process."""
