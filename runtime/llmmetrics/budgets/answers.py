"""Answers that come later, by their ids: what is kept of each until it is fetched, in a ledger or in this process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from threading import Lock
from typing import NamedTuple, Protocol

from llmmetrics.budgets.budget import SpendLimits
from llmmetrics.budgets.journal import Entry
from llmmetrics.budgets.ledgers import Basis, CallId
from llmmetrics.budgets.ledgers.base import MOST as LARGEST
from llmmetrics.system import processes

MOST = 10_000
"""Ids that a process without a ledger keeps; the oldest are forgotten first."""


class AnswerKey(NamedTuple):
    """The id of an answer: unique in a ledger. `number` tells the parts of a batch apart: where the part begins."""

    owner: str
    number: int = 0

    @classmethod
    def of(cls, provider: str, id: str, kind: str = "answer") -> AnswerKey:
        """Return the key of a provider's id, or of a file."""
        # an unknown host is named by the format of each path: here it is not
        known = "unknown" if provider.endswith("-compatible") else provider
        return cls(f"{kind}:{known}:{id}")

    @property
    def text(self) -> str:
        """The name under which runs know it."""
        return f"{self.owner}#{self.number}"

    @property
    def counted(self) -> str:
        """The mark that says how often it was counted."""
        return f"counted:{self.owner}"

    @property
    def read(self) -> str:
        """The mark that says how far a file was read."""
        return f"read:{self.owner}"

    @property
    def complete(self) -> str:
        """The mark that says whether a file was read to its end: 1, or 2 with lines without usage."""
        return f"complete:{self.owner}"


class Kept(NamedTuple):
    """What is kept of an answer that is still to come."""

    backend: str
    admitted: datetime
    amount: int = 0
    """What is booked for it, if the backend has a limit."""
    note: str = ""
    """What is needed to count it, as JSON."""


class AnswerStore(Protocol):
    """Where they are kept. Raises `LedgerError` for whatever fails."""

    def keep(self, answer: AnswerKey, kept: Kept, entry: Entry | None = None) -> None:
        """Keep an answer, and book its amount as pending in place of the call's reservation; unless it is settled."""
        ...

    def find(self, answer: AnswerKey) -> Kept | None:
        """Return what is kept of an answer; None for an unknown or settled one."""
        ...

    def settle(self, answer: AnswerKey, kept: Kept, basis: Basis = Basis.KNOWN) -> None:
        """Book the amount in place of what is pending, once."""
        ...

    def advance(self, mark: str, to: int) -> int:
        """Raise a high-water mark; return what it was. Of several processes, one gets the lower value."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Count the answers that are still to come, by backend."""
        ...


class ProcessAnswers:
    """The answers of one process, for a meter without a ledger. `forgotten` gets the backend of one that is dropped."""

    def __init__(self, forgotten: Callable[[str], object]) -> None:
        self._kept: dict[AnswerKey, Kept] = {}
        self._settled: dict[AnswerKey, None] = {}
        self._marks: dict[str, int] = {}
        self._forgotten = forgotten
        self._lock = Lock()
        processes.on_fork(self._forked)

    def keep(self, answer: AnswerKey, kept: Kept, entry: Entry | None = None) -> None:  # noqa: ARG002
        with self._lock:
            if answer in self._settled or answer in self._kept:
                return
            self._kept[answer] = kept
            if len(self._kept) > MOST:
                self._forgotten(self._kept.pop(next(iter(self._kept))).backend)

    def find(self, answer: AnswerKey) -> Kept | None:
        return self._kept.get(answer)

    def settle(self, answer: AnswerKey, kept: Kept, basis: Basis = Basis.KNOWN) -> None:  # noqa: ARG002
        with self._lock:
            self._kept.pop(answer, None)
            self._settled[answer] = None
            if len(self._settled) > MOST:
                del self._settled[next(iter(self._settled))]

    def advance(self, mark: str, to: int) -> int:
        with self._lock:
            before = self._marks.get(mark, 0)
            if to > before:
                # the newest last: the oldest is forgotten first
                self._marks.pop(mark, None)
                self._marks[mark] = to
                if len(self._marks) > MOST:
                    del self._marks[next(iter(self._marks))]
            return before

    def counts(self) -> Mapping[str, int]:
        with self._lock:
            return Counter(kept.backend for kept in self._kept.values() if not is_file(kept.backend))

    def _forked(self) -> None:
        # what the parent asked for is its own to count
        self._lock, self._kept = Lock(), {}


def _id(answer: AnswerKey) -> CallId:
    """Return the id under which a ledger keeps an answer: it knows answers by their owner alone."""
    return CallId(f"{answer.owner}#{answer.number}" if answer.number else answer.owner, 0)


class LedgerAnswers:
    """The answers of all processes that share a ledger."""

    def __init__(self, budget: SpendLimits) -> None:
        self._budget = budget
        self._guard = budget.guard

    def keep(self, answer: AnswerKey, kept: Kept, entry: Entry | None = None) -> None:
        amount = min(kept.amount, LARGEST)
        pending = Entry(kept.backend, _id(answer), amount, kept.admitted, Basis.PENDING)
        self._budget.defer(pending, entry, pending.id, kept.note)

    def find(self, answer: AnswerKey) -> Kept | None:
        row = self._guard.pending(_id(answer))
        return None if row is None else Kept(row.key, row.admitted, row.amount, row.note)

    def settle(self, answer: AnswerKey, kept: Kept, basis: Basis = Basis.KNOWN) -> None:
        self._budget.settle(Entry(kept.backend, _id(answer), min(kept.amount, LARGEST), kept.admitted, basis))

    def advance(self, mark: str, to: int) -> int:
        return self._guard.advance(mark, to)

    def counts(self) -> Mapping[str, int]:
        return {key: n for key, n in self._guard.pending_counts().items() if not is_file(key)}


_FILES = "file:"


def of_files(backend: str) -> str:
    """Return the key of a backend's files in place of its name: what is kept of a file is no answer."""
    return _FILES + backend


def is_file(key: str) -> bool:
    """Return whether a key is that of a backend's files."""
    return key.startswith(_FILES)
