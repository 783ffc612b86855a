"""Exact sums by tag: added up in this process, and sent to the ledger every second and at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, date, datetime
from itertools import count
from threading import RLock
from uuid import uuid4

from llmmetrics.budgets.ledgers import CallId
from llmmetrics.budgets.ledgers.base import TALLY, TagSum
from llmmetrics.budgets.resilient_ledger import ResilientLedger
from llmmetrics.errors import LedgerError
from llmmetrics.system import processes

ATTO = 10**6
"""Attodollars in a pico-dollar."""

MOST_ROWS = 500
"""Sums that are sent at once, at most, so that no call waits long for the ledger."""

DAY = 86_400
"""Seconds."""

_FIRST = date(1970, 1, 1)


def day_of(moment: datetime) -> int:
    """Return the UTC day of a moment, in days since 1970."""
    return (moment.astimezone(UTC).date() - _FIRST).days


class TagSums:
    """What the ledger does not know yet. A batch whose answer did not come is sent again, and counts once."""

    def __init__(self) -> None:
        self._sums: Counter[tuple[str, str, int]] = Counter()
        """Attodollars by key, value and day. What is less than a pico-dollar stays."""
        self.bring: Callable[[], object] = lambda: None
        """Adds the costs that wait elsewhere."""
        self._unsent: list[tuple[CallId, list[TagSum]]] = []
        self._owner, self._numbers, self._sent = uuid4().hex[:16], count(1), False
        self._lock = RLock()
        self._flushing = RLock()
        processes.on_fork(self._forked)

    def add(self, tags: Iterable[tuple[str, str]], cost: int, at: float) -> None:
        """Add a cost in attodollars to the sum of each tag, on the day of `at`, in seconds since 1970."""
        day = int(at // DAY)
        with self._lock:
            for key, value in tags:
                self._sums[key, value, day] += cost

    def flush(self, guard: ResilientLedger) -> None:
        """Send what was added, unless the ledger is away."""
        with self._flushing:
            self._unsent += self._batches()
            while self._unsent:
                id, rows = self._unsent[0]
                try:
                    guard.tally(id, rows)
                except LedgerError:
                    return
                del self._unsent[0]
                self._sent = True

    def retire(self, guard: ResilientLedger) -> None:
        """Let the ledger forget, at the end, which batches it has: all are there, and none is sent again."""
        with self._flushing, suppress(LedgerError):
            if self._sent and not self._unsent:
                guard.forget(f"{TALLY}{self._owner}")

    def _batches(self) -> list[tuple[CallId, list[TagSum]]]:
        self.bring()
        with self._lock:
            sums, self._sums = self._sums, Counter({name: sum % ATTO for name, sum in self._sums.items() if sum % ATTO})
        rows = [TagSum(*name, sum // ATTO) for name, sum in sums.items() if sum >= ATTO]
        starts = range(0, len(rows), MOST_ROWS)
        return [(CallId(self._owner, next(self._numbers)), rows[start : start + MOST_ROWS]) for start in starts]

    def _forked(self) -> None:
        # what is not sent yet is the parent's
        self._sums, self._unsent = Counter(), []
        self._owner, self._numbers, self._sent = uuid4().hex[:16], count(1), False
        self._lock, self._flushing = RLock(), RLock()
