"""The ledger of one process: dictionaries and a lock. For tests, and where losing the spend at the end is fine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from threading import Lock

from llmmetrics.budgets.ledgers.base import (
    KEPT,
    QUARTER,
    REMEMBERED,
    Balance,
    Reset,
    Standing,
    WindowRow,
    milliseconds,
    moment,
)
from llmmetrics.settings.windows import FIRST, LAST, Window
from llmmetrics.system import processes

MOST = 100_000
"""Settled ids that are known; the oldest are forgotten first."""


_NO_WINDOW = Window(LAST, FIRST)


@dataclass(slots=True)
class _Spent:
    amount: int
    generation: int = 0
    limit: int | None = None


@dataclass
class _Book:
    """One backend's."""

    windows: dict[Window, _Spent] = field(default_factory=dict)
    quarters: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    held: dict[str, tuple[int, datetime, datetime]] = field(default_factory=dict)
    """Amount, when it was admitted, when its lease ends."""
    settled: dict[str, datetime] = field(default_factory=dict)
    latest: Window = _NO_WINDOW
    """The quarter of an hour that was booked in last, and its key: most calls are in the same."""
    quarter: int = 0

    def window(self, window: Window) -> _Spent:
        """Open a window. A new one starts from what was spent in it: its settings have changed in mid-window."""
        state = self.windows.get(window)
        if state is None:
            start, end = map(milliseconds, window)
            spent = sum(amount for quarter, amount in self.quarters.items() if start <= quarter < end)
            state = self.windows[window] = _Spent(spent)
            self._prune(window.start)
        return state

    def _prune(self, now: datetime) -> None:
        for each in [each for each in self.windows if each.end < now - KEPT]:
            del self.windows[each]
        for quarter in [each for each in self.quarters if each < milliseconds(now - KEPT)]:
            del self.quarters[quarter]
        for id in [id for id, at in self.settled.items() if at < now - REMEMBERED]:
            del self.settled[id]

    def remember(self, id: str, admitted: datetime) -> None:
        self.settled[id] = admitted
        if len(self.settled) > MOST:
            for old in list(islice(self.settled, MOST // 2)):
                del self.settled[old]

    def add(self, amount: int, admitted: datetime) -> None:
        """Book an amount by the quarter, and in every window that holds this moment."""
        if not self.latest.start <= admitted < self.latest.end:
            self.quarter = milliseconds(admitted) // QUARTER * QUARTER
            self.latest = Window(moment(self.quarter), moment(self.quarter + QUARTER))
        self.quarters[self.quarter] += amount
        for (start, end), spent in self.windows.items():
            if start <= admitted < end:
                spent.amount += amount

    def expire(self, now: datetime) -> int:
        """Forget the reservations whose lease has ended, and count them."""
        if not self.held:
            return 0
        over = [id for id, (_, _, ends) in self.held.items() if ends <= now]
        for id in over:
            del self.held[id]
        return len(over)

    def reserved(self, window: Window) -> int:
        return sum(amount for amount, admitted, _ in self.held.values() if window.holds(admitted)) if self.held else 0


class MemoryLedger:
    """See `Ledger`."""

    name = "memory://"
    reach = "this process only"
    local = True
    blocking = False

    def __init__(self) -> None:
        self._books: dict[str, _Book] = defaultdict(_Book)
        self._resets: list[Reset] = []
        self._lock = Lock()
        processes.on_fork(self._forked)

    def reserve(
        self, backend: str, window: Window, amount: int, limit: int | None, id: str, now: datetime, lease: timedelta
    ) -> Standing:
        with self._lock:
            book = self._books[backend]
            expired, spent = book.expire(now), book.window(window)
            spent.limit = limit
            reserved = book.reserved(window)
            fits = limit is None or (spent.amount < limit and spent.amount + reserved + amount <= limit)
            known = id in book.held
            if fits and amount and not known and id not in book.settled:
                book.held[id] = (amount, now, now + lease)
                reserved += amount
            return Standing(fits or known, spent.amount, reserved, expired, spent.generation)

    def renew(self, backend: str, id: str, amount: int, admitted: datetime, now: datetime, lease: timedelta) -> None:
        with self._lock:
            book = self._books[backend]
            if id not in book.settled:
                book.held[id] = (amount, admitted, now + lease)

    def settle(self, backend: str, id: str, amount: int, admitted: datetime, window: Window) -> Balance:
        with self._lock:
            book = self._books[backend]
            spent = book.window(window)
            if id not in book.settled:
                book.remember(id, admitted)
                book.held.pop(id, None)
                book.add(amount, admitted)
            return Balance(spent.amount, book.reserved(window), 0, spent.generation)

    def balance(self, backend: str, window: Window, now: datetime) -> Balance:
        with self._lock:
            book = self._books[backend]
            expired, spent = book.expire(now), book.window(window)
            return Balance(spent.amount, book.reserved(window), expired, spent.generation)

    def history(self, backend: str | None = None) -> Sequence[WindowRow]:
        with self._lock:
            rows = [
                WindowRow(name, window, spent.amount, spent.limit)
                for name, book in self._books.items()
                for window, spent in book.windows.items()
                if backend in (None, name)
            ]
        return sorted(rows, key=lambda row: (row.window, row.backend), reverse=True)

    def reset(self, backend: str, window: Window, now: datetime, by: str) -> int:
        with self._lock:
            book = self._books[backend]
            spent = book.window(window)
            amount, spent.amount = spent.amount, 0
            spent.generation += 1
            # a window of other settings that is opened later does not bring it back
            start, end = map(milliseconds, window)
            for quarter in [each for each in book.quarters if start <= each < end]:
                del book.quarters[quarter]
            self._resets.insert(0, Reset(backend, now, by, amount))
            return amount

    def resets(self, backend: str | None = None) -> Sequence[Reset]:
        with self._lock:
            return [each for each in self._resets if backend in (None, each.backend)]

    def close(self) -> None:
        """Do nothing: there is no file."""

    def _forked(self) -> None:
        self._lock = Lock()
