"""What one key has in the memory ledger: sums, calls in flight, leases, settled numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop, heappush

from llmmetrics.budgets.ledgers.base import AT_ONCE, MOST, QUARTER_HOUR, Basis, CallId
from llmmetrics.settings.windows import Window

QUARTER = timedelta(milliseconds=QUARTER_HOUR)


@dataclass(slots=True)
class MemorySums:
    """The spend of a window, or of a quarter of an hour."""

    spent: int = 0
    estimated: int = 0
    worst_case: int = 0
    pending: int = 0
    reserved: int = 0
    bookings: int = 0
    generation: int = 0
    limit: int | None = None

    def add(self, amount: int, basis: Basis, bookings: int = 1) -> None:
        spent = self.spent + amount
        self.spent = spent if 0 <= spent <= MOST else MOST if spent > 0 else 0
        self.bookings += bookings
        if basis is not Basis.KNOWN:
            part = getattr(self, basis.value)
            setattr(self, basis.value, max(min(part + amount, MOST), 0))

    def take_in(self, other: MemorySums) -> None:
        self.spent = min(self.spent + other.spent, MOST)
        for part in ("estimated", "worst_case", "pending"):
            setattr(self, part, min(getattr(self, part) + getattr(other, part), MOST))

    def clear(self) -> int:
        spent = self.spent
        self.spent = self.estimated = self.worst_case = self.pending = 0
        return spent


@dataclass(slots=True)
class MemoryRow:
    """What is held for a call. `basis` is None while it is reserved, else what it is booked as."""

    amount: int
    at: datetime
    ends: float
    basis: Basis | None = None


@dataclass(slots=True)
class SettledNumbers:
    """The settled numbers of an owner: all below `low`, and those in `above`."""

    at: datetime
    """When the latest of them was admitted."""
    low: int = 0
    above: set[int] = field(default_factory=set)

    def __contains__(self, number: int) -> bool:
        return number < self.low or number in self.above

    def add(self, number: int) -> None:
        if number != self.low:
            self.above.add(number)
            return
        self.low += 1
        while self.low in self.above:
            self.above.remove(self.low)
            self.low += 1


class MemoryKey:
    """What one key has."""

    def __init__(self) -> None:
        self.windows: dict[Window, MemorySums] = {}
        self.quarters: dict[datetime, MemorySums] = {}
        self.rows: dict[CallId, MemoryRow] = {}
        self.leases: list[tuple[float, CallId]] = []
        """A heap. Leases of settled calls, and what was before a renewal, are left in it for a while."""
        self.settled: dict[str, SettledNumbers] = {}
        self.quarter: Window | None = None
        """The quarter of an hour that was booked in last: most calls are in the same."""
        self.last: tuple[Window, MemorySums] | None = None
        """The window that was opened last: a call compares objects, which is faster than to hash dates."""
        self._touched: list[MemorySums] = []

    def window(self, window: Window) -> MemorySums:
        """Open a window. A new one starts from what was spent in it: its settings have changed in mid-window."""
        last = self.last
        if last is not None and last[0] is window:
            return last[1]
        sums = self.windows.get(window)
        if sums is None:
            sums = self.windows[window] = MemorySums()
            for quarter, of_quarter in self.quarters.items():
                if window.holds(quarter):
                    sums.take_in(of_quarter)
            rows = self.rows.values()
            sums.reserved = sum(row.amount for row in rows if row.basis is None and window.holds(row.at))
            self.quarter = None
        self.last = window, sums
        return sums

    def touched(self, at: datetime) -> list[MemorySums]:
        """Return the sums of a moment: of its quarter of an hour, then of the windows that hold it."""
        quarter = self.quarter
        if quarter is None or not quarter.start <= at < quarter.end:
            start = at.astimezone(UTC)
            start = start.replace(minute=start.minute - start.minute % 15, second=0, microsecond=0)
            own = self.quarters.setdefault(start, MemorySums())
            self._touched = [own, *(sums for window, sums in self.windows.items() if window.holds(start))]
            self.quarter = Window(start, start + QUARTER)
        return self._touched

    def book(self, at: datetime, amount: int, basis: Basis, bookings: int = 1) -> None:
        """Add to the sums of a moment."""
        quarter, known = self.quarter, basis is Basis.KNOWN
        same = quarter is not None and quarter[0] <= at < quarter[1]
        for sums in self._touched if same else self.touched(at):
            spent = sums.spent + amount
            if known and 0 <= spent <= MOST:
                # as `add`, for most calls
                sums.spent = spent
                sums.bookings += bookings
            else:
                sums.add(amount, basis, bookings)

    def hold(self, id: CallId, amount: int, at: datetime, ends: float) -> None:
        self.rows[id] = MemoryRow(amount, at, ends)
        heappush(self.leases, (ends, id))
        for sums in self.touched(at):
            sums.reserved += amount

    def let_go(self, id: CallId) -> MemoryRow | None:
        """Take a row off, with what it holds or has booked."""
        row = self.rows.pop(id, None)
        if row is None:
            return None
        if row.basis is not None:
            self.book(row.at, -row.amount, row.basis, 0)
            return row
        for sums in self.touched(row.at):
            sums.reserved -= row.amount
        return row

    def expire(self, uptime: float) -> int:
        """Book the leases that have ended as worst case, and count them."""
        expired = 0
        while self.leases and self.leases[0][0] <= uptime and expired < AT_ONCE:
            ends, id = heappop(self.leases)
            row = self.rows.get(id)
            if row is None or row.basis is not None or row.ends != ends:
                continue
            self.let_go(id)
            row.basis = Basis.WORST_CASE
            self.rows[id] = row
            self.book(row.at, row.amount, row.basis)
            expired += 1
        if len(self.leases) > 2 * len(self.rows) + 64:
            self.leases = [(row.ends, id) for id, row in self.rows.items() if row.basis is None]
            heapify(self.leases)
        return expired

    def is_settled(self, id: CallId) -> bool:
        numbers = self.settled.get(id.owner)
        return numbers is not None and id.number in numbers

    def settle(self, id: CallId, at: datetime) -> bool:
        """Note that an id is settled; return whether it was not before."""
        owner, number = id
        numbers = self.settled.get(owner)
        if numbers is None:
            numbers = self.settled[owner] = SettledNumbers(at)
        elif at > numbers.at:
            numbers.at = at
        if number == numbers.low and not numbers.above:
            numbers.low += 1
        elif number in numbers:
            return False
        else:
            numbers.add(number)
        return True
