"""What a ledger has acknowledged to this process: the highest answer about each window, and the last bookings."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from threading import RLock
from typing import NamedTuple

from llmmetrics.budgets.journal import Entry
from llmmetrics.budgets.ledgers import Balance, Booked, Standing
from llmmetrics.settings.windows import Window
from llmmetrics.system import processes

REMEMBERED = 4096
"""Bookings that this process can send to a ledger again."""

MOST_WINDOWS = 1000


class Seen(NamedTuple):
    """A ledger's answer about a window. It never sinks, unlike the spend; an operator's reset raises `generation`."""

    generation: int
    bookings: int

    @classmethod
    def of(cls, answer: Standing | Booked | Balance) -> Seen:
        return cls(answer.generation, answer.bookings)


NOTHING = Seen(0, 0)


class Acknowledged:
    """Tells a loss by a lower answer than a known one."""

    def __init__(self) -> None:
        self._recent: deque[Entry] = deque(maxlen=REMEMBERED)
        self._seen: dict[tuple[str, Window], Seen] = {}
        self._losses: dict[tuple[str, Window], Seen] = {}
        """The last answer about a window that has lost more than this process can send again."""
        self._lock = RLock()
        processes.on_fork(self._forked)

    def seen(self, key: str, window: Window) -> Seen:
        """Return the highest answer about this window."""
        return self._seen.get((key, window), NOTHING)

    def note(self, key: str, window: Window, answer: Seen) -> None:
        """Note an answer, unless a higher one is known."""
        with self._lock:
            known = self.seen(key, window)
            if answer <= known:
                return
            if len(self._seen) > MOST_WINDOWS:
                self._seen.clear()
            self._seen[key, window] = answer
            if answer.generation > known.generation:
                self._reset(key, window)

    def remember(self, entry: Entry) -> None:
        """Keep a booking."""
        if entry.amount:
            with self._lock:
                self._recent.append(entry)

    def bookings(self) -> Sequence[Entry]:
        """Return the last bookings."""
        return list(self._recent)

    def retire(self, owners: Collection[tuple[str, str]]) -> None:
        """Drop the bookings of owners (by key) whose ids the ledger forgets: sent again, they would count twice."""
        with self._lock:
            kept = [each for each in self._recent if (each.key, each.id.owner) not in owners]
            self._recent = deque(kept, maxlen=REMEMBERED)

    def forget(self, key: str) -> None:
        """Forget a key that was deleted: what it had is no loss."""
        with self._lock:
            self._seen = {about: seen for about, seen in self._seen.items() if about[0] != key}
            self._recent = deque((each for each in self._recent if each.key != key), maxlen=REMEMBERED)

    def is_new_loss(self, key: str, window: Window, answer: Seen) -> bool:
        """Check whether bookings were not sent again yet for this loss: doing so at every call would not help."""
        before = self._losses.get((key, window))
        return before is None or answer < before

    def accept(self, key: str, window: Window, known: Seen, answer: Seen) -> bool:
        """Go on from an answer, also from a lower one after a reset; return False if it is a loss."""
        with self._lock:
            before = self._losses.get((key, window))
            is_reset = before is not None and answer.generation > before.generation
            if answer.bookings < known.bookings and not is_reset:
                self._losses[key, window] = answer
                return False
            self._losses.pop((key, window), None)
            self._seen[key, window] = answer
            if is_reset:
                self._reset(key, window)
            return True

    def _reset(self, key: str, window: Window) -> None:
        """Forget what was booked before a reset: the operator has taken it off."""
        kept = [each for each in self._recent if each.key != key or not window.holds(each.admitted)]
        self._recent = deque(kept, maxlen=REMEMBERED)

    def _forked(self) -> None:
        self._lock = RLock()
