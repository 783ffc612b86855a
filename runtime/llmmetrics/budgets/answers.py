"""Answers that come later, by their ids: what is known of each, kept in a ledger or in this process.

A row is written when the call ends that asked for the answer, and replaced when the answer is fetched, perhaps by
another process. Rows are compared and swapped, so that an answer that two processes fetch at once counts once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from threading import Lock
from typing import NamedTuple, Protocol

from llmmetrics.system import processes

MOST = 10_000
"""Rows that a process keeps; the oldest are forgotten first."""


class AnswerRow(NamedTuple):
    """What is known of one answer. Amounts are in nano-dollars, in the window that the call was admitted in."""

    backend: str
    model: str
    """The model label of its tokens; empty: the model that answers."""
    admitted: datetime
    known: int = 0
    """What its usage has cost so far."""
    pending: int = 0
    """What is booked for the part that is not known yet."""
    mark: int = 0
    """How much of its results was counted, in bytes of a file or in results of a list."""
    over: bool = False
    """Whether nothing more will be counted."""
    note: str = ""
    """For a row of a file: what the file belongs to, as JSON."""

    @property
    def booked(self) -> int:
        """All that is booked for it."""
        return self.known + self.pending


class AnswerStore(Protocol):
    """Where the rows are. Raises `LedgerError` for whatever fails."""

    def answer(self, key: str) -> AnswerRow | None:
        """Read the row of an answer."""
        ...

    def swap(self, key: str, before: AnswerRow | None, after: AnswerRow) -> bool:
        """Replace a row, unless it is another one by now; book the difference of the amounts."""
        ...

    def pending(self) -> Mapping[str, int]:
        """Count the answers that are not over, by backend."""
        ...


class ProcessAnswers:
    """The rows of one process, for a meter without a ledger. `forgotten` gets the backend of a row that is dropped."""

    def __init__(self, forgotten: Callable[[str], object]) -> None:
        self._rows: dict[str, AnswerRow] = {}
        self._forgotten = forgotten
        self._lock = Lock()
        processes.on_fork(self._forked)

    def answer(self, key: str) -> AnswerRow | None:
        return self._rows.get(key)

    def swap(self, key: str, before: AnswerRow | None, after: AnswerRow) -> bool:
        with self._lock:
            if self._rows.get(key) != before:
                return False
            self._rows[key] = after
            while len(self._rows) > MOST:
                oldest = self._rows.pop(next(iter(self._rows)))
                if not oldest.over:
                    self._forgotten(oldest.backend)
            return True

    def pending(self) -> Mapping[str, int]:
        with self._lock:
            return Counter(row.backend for row in self._rows.values() if not row.over)

    def _forked(self) -> None:
        # the parent's answers stay known: a child may fetch them, and counts them in its own metrics
        self._lock = Lock()
