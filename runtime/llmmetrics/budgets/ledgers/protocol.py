"""The contract that every kind of storage meets; `base` says what is kept, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from llmmetrics.budgets.ledgers.base import (
    Balance,
    Basis,
    Booked,
    CallId,
    Correction,
    Pending,
    Standing,
    TagSum,
    WindowRow,
)
from llmmetrics.settings.windows import Window


class Ledger(Protocol):
    """One contract for every kind of storage. Raises `LedgerError` for whatever fails.

    Nothing here costs more the more reservations are open, calls are settled or windows are over.
    """

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
        self,
        key: str,
        window: Window,
        amount: int,
        limit: int | None,
        id: CallId,
        at: datetime,
        uptime: float,
        lease: float,
    ) -> Standing:
        """Admit a call and hold `amount` for it until it is settled or `lease` seconds are over; or refuse it.

        Admitted while less than the limit is spent, and spent + reserved + `amount` do not exceed it. The same id
        again is admitted and held once, and not at all after it was settled: its caller had given it up. An `amount`
        of 0 holds nothing.
        """
        ...

    def renew(self, key: str, id: CallId, amount: int, at: datetime, uptime: float, lease: float) -> None:
        """Extend a lease. One that has ended, or that the ledger has lost, is taken up again unless it was settled."""
        ...

    def settle(self, key: str, id: CallId, amount: int, basis: Basis, at: datetime, window: Window) -> Booked:
        """Book a call in the window that it was admitted in, and release its reservation: once for each id.

        It replaces what was booked when the lease ended, or as pending, at the moment of that row. Nothing need have
        been reserved. 0 releases.
        """
        ...

    def defer(
        self, key: str, id: CallId | None, amount: int, at: datetime, window: Window, answer: CallId, note: str | None
    ) -> Booked:
        """Settle a call whose answer comes later: book `amount` as pending, without a lease, under the answer's id.

        `settle` with the answer's id replaces it. `id` is None for a call without a reservation. With the note None,
        `pending` and `pending_counts` do not list it.
        """
        ...

    def pending(self, answer: CallId) -> Pending | None:
        """Read an answer that was deferred and is not settled yet, by whatever process and key; None for any other."""
        ...

    def pending_counts(self) -> Mapping[str, int]:
        """Count the answers that are not settled yet, by key."""
        ...

    def advance(self, mark: str, to: int) -> int:
        """Raise a high-water mark, such as the lines of a result file that were read; return what it was."""
        ...

    def claim_alert(self, key: str, window: Window, share: str) -> bool:
        """Claim the alert of a share for a window; True once, over all processes, and again after a reset."""
        ...

    def balance(self, key: str, window: Window, uptime: float) -> Balance:
        """Read what is spent and reserved. Book the leases that have ended."""
        ...

    def history(self, key: str | None = None) -> Sequence[WindowRow]:
        """Read every window that is kept, the newest first."""
        ...

    def reset(self, key: str, window: Window, now: datetime, by: str) -> int:
        """Take off what a window has spent, record it, and return it."""
        ...

    def release(self, key: str, window: Window, now: datetime, by: str) -> int:
        """Take off what a window has booked as worst case, record it, and return it.

        A settle of such a call that comes later is booked.
        """
        ...

    def corrections(self, key: str | None = None) -> Sequence[Correction]:
        """Read what `reset` and `release` have recorded, the newest first."""
        ...

    def prune(self, before: datetime) -> int:
        """Delete what is older than a moment; return how many windows. A window that is open or never ends stays.

        What is deleted can be counted twice by a settle that is repeated after that.
        """
        ...

    def retire(self, key: str, owner: str) -> None:
        """Forget the settled ids of an owner that ends and has settled all of its calls."""
        ...

    def marks(self, prefix: str) -> Mapping[str, int]:
        """Read the high-water marks whose names begin with this."""
        ...

    def forget(self, name: str) -> None:
        """Delete all that the key of this name has, and the mark of this name: a run is over."""
        ...

    def tally(self, id: CallId, sums: Sequence[TagSum]) -> None:
        """Add sums by tag: once for each id. An owner's numbers grow."""
        ...

    def tallies(self, tag: str, first: int, last: int) -> Mapping[str, int]:
        """Read the sums of a tag by value, over the days from `first` to `last`."""
        ...

    def look_again(self) -> None:
        """Find the storage again at the next question: what has answered so far may have been replaced by another."""
        ...

    def close(self) -> None:
        """Close files and connections."""
        ...
