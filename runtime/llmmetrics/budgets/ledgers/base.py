"""What a ledger is: the spend of each backend and window, and what is reserved for calls in flight.

Amounts are integer nano-dollars; moments are timezone-aware arguments, never a clock of the ledger's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, Protocol

from llmmetrics.errors import LedgerError
from llmmetrics.settings.windows import FIRST, Window

QUARTER = 15 * 60 * 1000
"""Milliseconds. Spend is kept by the quarter of an hour too: every zone's windows begin with one."""

KEPT = timedelta(days=40)
"""How long a past window is kept: for reports, and for a period that is changed in mid-window."""

REMEMBERED = timedelta(days=2)
"""How long an id is known to have been settled."""

SCHEMA = 1


class ReplacedError(LedgerError):
    """A ledger's storage was deleted or replaced. It is open again; what it has lost may be booked again now."""


class Balance(NamedTuple):
    """The state of a window. `generation` grows with each reset by an operator.

    `expired` counts the reservations whose lease had ended; each is counted once.
    """

    spent: int
    reserved: int
    expired: int
    generation: int


class Standing(NamedTuple):
    """The same, with whether a call was admitted."""

    admitted: bool
    spent: int
    reserved: int
    expired: int
    generation: int


class WindowRow(NamedTuple):
    """A window of the past or of now."""

    backend: str
    window: Window
    spent: int
    limit: int | None


class Reset(NamedTuple):
    """An operator's reset: how much was taken off."""

    backend: str
    at: datetime
    by: str
    amount: int


class Ledger(Protocol):
    """One contract for every kind of storage. Raises `LedgerError` for whatever fails."""

    name: str
    """Its URL without a password."""
    reach: str
    """Who shares it."""
    local: bool
    """Whether other machines have another one."""

    @property
    def blocking(self) -> bool:
        """Whether it may make its caller wait, as things are."""
        ...

    def reserve(
        self, backend: str, window: Window, amount: int, limit: int | None, id: str, now: datetime, lease: timedelta
    ) -> Standing:
        """Admit a call and hold `amount` for it until it is settled or the lease ends; or refuse it.

        Admitted while less than the limit is spent, and spent + reserved + `amount` do not exceed it. The same id
        again is admitted and held once, and not at all after it was settled: its caller had given it up.
        """
        ...

    def renew(self, backend: str, id: str, amount: int, admitted: datetime, now: datetime, lease: timedelta) -> None:
        """Extend a lease. One that has ended is taken up again, unless its call was settled."""
        ...

    def settle(self, backend: str, id: str, amount: int, admitted: datetime, window: Window) -> Balance:
        """Book a call in the window that it was admitted in, and release its reservation: once for each id.

        Nothing need have been reserved, and the lease may have ended. 0 releases.
        """
        ...

    def balance(self, backend: str, window: Window, now: datetime) -> Balance:
        """Read what is spent and reserved."""
        ...

    def history(self, backend: str | None = None) -> Sequence[WindowRow]:
        """Read every window that is kept, the newest first."""
        ...

    def reset(self, backend: str, window: Window, now: datetime, by: str) -> int:
        """Take off what a window has spent, record it, and return it."""
        ...

    def resets(self, backend: str | None = None) -> Sequence[Reset]:
        """Read what `reset` has recorded, the newest first."""
        ...

    def close(self) -> None:
        """Close files and connections."""
        ...


def milliseconds(moment: datetime) -> int:
    """Convert a moment to milliseconds since 1970."""
    # one timedelta divided by another takes four times as long
    since = moment - FIRST
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


@lru_cache(1000)
def bounds(window: Window) -> tuple[int, int]:
    """Convert the start and the end of a window to milliseconds."""
    return milliseconds(window.start), milliseconds(window.end)


def moment(milliseconds: int) -> datetime:
    """Convert milliseconds since 1970 to a moment."""
    return FIRST + timedelta(milliseconds=milliseconds)
