"""What a ledger is: what each limit has spent in each window, and what is reserved for calls in flight.

    reserve ──► a row (owner, number): RESERVED until its lease ends
                  │ settle                │ the lease ends           │ defer
                  ▼                       ▼                          ▼
                booked, as               booked as `worst_case`;    booked as `pending` under the id of
                known / estimated /      the row stays              the answer that comes later: another row
                worst_case               │ settle                   │ settle, by any process
                                         ▼                          ▼
                                        replaced by what the call cost, once

A limit is a *key*, any text: a backend's name today, `run:…` or `tag:…` tomorrow. A window is `[start, end)`. Sums are
kept by window and by quarter of an hour, so that a window of other settings starts from what was spent in it.

- **Ids** are (owner, number). An owner is one process life; its numbers are counted for each key without gaps. The
  ledger keeps the settled numbers as ranges, so that a settle that is repeated counts once, always. An answer that
  comes later (`answer_id`) and a result file (owner: the file, number: its line) are owners too.
- **Amounts** are integers, in pico-dollars, at most `MOST`; a sum that would pass it stays at `MOST`.
- **Two clocks**, both arguments. Moments are timezone-aware and say to which window a call belongs. `uptime` is
  `Clock.uptime`, in seconds, and leases end by it; a ledger of several machines has an age of its own instead.
- **A sum is never deleted by a clock**: `prune` is an operator's command.
- **`bookings`** counts the calls that a window's spend consists of since its last reset. It never sinks, unlike the
  spend: a lower one, or a lower `generation`, is a loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from llmmetrics.errors import LedgerError
from llmmetrics.pricing.basis import Basis as Basis  # noqa: PLC0414 - its users look for it here
from llmmetrics.settings.windows import FIRST, Window

PICO = 10**12
"""Pico-dollars in a dollar."""

MOST = 9 * 10**18
"""Nine million dollars: the largest amount, and the largest sum. SQLite and Redis count in 64 bits."""

QUARTER_HOUR = 15 * 60 * 1000
"""Milliseconds. Every zone's windows begin with a quarter of an hour."""

AT_ONCE = 16
"""Ended leases that one question books, at most, so that no call waits long for it."""

SCHEMA = 2
"""1: nano-dollars, ids of text, leases by the wall clock (until 2026-11)."""


new_tuple: Final = tuple.__new__
"""Makes a NamedTuple, in half the time of its own constructor."""


class ReplacedError(LedgerError):
    """A ledger's storage was deleted or replaced. It is open again; what it has lost may be booked again now."""


class TransientError(LedgerError):
    """What may end without a change of the settings: a file is locked, a disk is full."""


class CallId(NamedTuple):
    """The id of a reservation and of its booking: unique for a key."""

    owner: str
    number: int


class Standing(NamedTuple):
    """Whether a call was admitted, and how its window stands.

    `expired` counts the leases that this question has found ended. `generation` grows with each reset.
    """

    admitted: bool
    spent: int
    reserved: int
    expired: int
    generation: int
    bookings: int


class Booked(NamedTuple):
    """What a window has spent now. `first` is False for an id that was settled before: nothing was booked.

    `replaced`: an ended lease's worst case, or a pending amount, was replaced, so that `bookings` has not grown.
    """

    spent: int
    generation: int
    bookings: int
    first: bool
    replaced: bool


class Balance(NamedTuple):
    """The state of a window. `spent` holds the parts `estimated`, `worst_case` and `pending`; the rest is known."""

    spent: int
    reserved: int
    estimated: int
    worst_case: int
    pending: int
    expired: int
    generation: int
    bookings: int

    @property
    def by_basis(self) -> Mapping[Basis, int]:
        """What is spent, by how sure it is."""
        parts = {
            Basis.ESTIMATED: self.estimated,
            Basis.WORST_CASE: self.worst_case,
            Basis.PENDING: self.pending,
        }
        return {Basis.KNOWN: self.spent - sum(parts.values()), **parts}


class WindowRow(NamedTuple):
    """A window of the past or of now."""

    key: str
    window: Window
    spent: int
    limit: int | None


class Correction(NamedTuple):
    """What an operator took off: all that a window had spent (`reset`), or its worst cases (`release`)."""

    kind: Literal["reset", "release"]
    key: str
    at: datetime
    by: str
    amount: int


class TagSum(NamedTuple):
    """What calls with a tag's value cost on a UTC day, in days since 1970."""

    tag: str
    value: str
    day: int
    amount: int


class Pending(NamedTuple):
    """An answer that comes later. `note` is its caller's: what is needed to count it."""

    key: str
    amount: int
    admitted: datetime
    note: str


def answer_id(provider: str, answer: str) -> CallId:
    """Return the id under which an answer that comes later is booked, in whatever process."""
    return CallId(f"{ANSWER}{provider}:{answer}", 0)


TALLY = "tally:"
"""What the mark of an owner's sums by tag begins with."""

ANSWER = "answer:"
"""What the owner of such an id begins with."""

V1 = "v1:"
"""What the owner of an id begins with that schema 1 has written, as text. It is unique for all keys."""


def old_id(text: str) -> CallId:
    """Return the id of a reservation that schema 1 has written."""
    return CallId(f"{V1}{text}", 0)


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


def quarter_hour(milliseconds: int) -> int:
    """Return the start of the quarter of an hour that a moment is in."""
    return milliseconds - milliseconds % QUARTER_HOUR
