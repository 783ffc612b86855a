"""Answers that come later, in the runs of the calls that asked for them: pending until one is read.

A run in memory is settled by the process that has it. A named run or a tag's limit is settled by whatever process reads
the answer: what it needs is kept with the answer, as `PendingShare`s.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple
from weakref import ReferenceType, ref

from llmmetrics.budgets.answers import MOST
from llmmetrics.budgets.journal import Entry
from llmmetrics.budgets.ledgers import Basis, CallId
from llmmetrics.budgets.ledgers.base import MOST as LARGEST
from llmmetrics.budgets.run import Hold, Run
from llmmetrics.budgets.run_budget import Amounts, PendingShare, RunLedger, SharedRunLedger
from llmmetrics.errors import LedgerError
from llmmetrics.system.process_lock import ProcessLock


class PendingHold(NamedTuple):
    """What a run has reserved for a call whose answer comes later, and what the answer may come to."""

    hold: Hold
    amounts: Amounts


class AnswerCost(NamedTuple):
    """What an answer came to. Of the units in `least`, it may be more: nothing that is pending is released."""

    used: Amounts
    basis: Basis
    least: Collection[str] = ()

    def of(self, share: PendingShare) -> int:
        """Return what to book in place of a share."""
        amount: int = min(getattr(self.used, share.unit), LARGEST)
        return max(amount, share.amount) if share.unit in self.least else amount


class AnswerRead(NamedTuple):
    """An answer, or a part of a batch, that was read. What is left of the batch is pending as `rest`."""

    answer: str
    rest: str | None
    cost: AnswerCost
    admitted: datetime

    def left(self, shares: Sequence[PendingShare]) -> Sequence[PendingShare]:
        """Return what of these shares is still pending."""
        if self.rest is None:
            return ()
        return [share._replace(amount=max(share.amount - self.cost.of(share), 0)) for share in shares]

    def book(self, ledger: RunLedger, shares: Sequence[PendingShare]) -> None:
        """Book it in place of what is pending, once."""
        for share in self.left(shares):
            # too much is pending if the ledger fails in between, and never too little
            with suppress(LedgerError):
                ledger.defer(Entry(share.key, _NONE, share.amount, self.admitted, Basis.PENDING), _id(self.rest or ""))
        for share in shares:
            amount = self.cost.of(share)
            ledger.settle(Entry(share.key, _id(self.answer), amount, self.admitted, self.cost.basis))


class _Waiting(NamedTuple):
    run: ReferenceType[Run]
    names: tuple[str, str]
    shares: Sequence[PendingShare]


class RunAnswers:
    """The pending answers of one process's runs."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[_Waiting]] = {}
        self._lock = ProcessLock()

    def defer(self, answer: str, holds: list[PendingHold], names: tuple[str, str]) -> Sequence[PendingShare]:
        """Book what is pending in each run; return what other processes need to know. Raises `LedgerError`."""
        shares: list[PendingShare] = []
        while holds:
            run, entries = holds[-1].hold
            pending = run.defer(entries, names, holds[-1].amounts, _id(answer))
            holds.pop()
            self._wait(answer, _Waiting(ref(run), names, pending))
            shares += pending if run.named else ()
        return shares

    def settle(
        self, read: AnswerRead, shares: Sequence[PendingShare], shared: SharedRunLedger | None
    ) -> Sequence[PendingShare]:
        """Book an answer in place of what is pending; return what is left of `shares`, which `shared` keeps."""
        with self._lock:
            waiting = self._waiting.pop(read.answer, [])
        for each in waiting:
            if (run := each.run()) is not None and not run.inherited:
                self._settle_own(run, each, read)
        if not shares or shared is None:
            return ()
        # a run whose time is over is not begun again by what is left of it
        kept = [share for share in shares if _is_kept(shared, share)]
        read.book(shared, kept)
        return read.left(kept)

    def _settle_own(self, run: Run, waiting: _Waiting, read: AnswerRead) -> None:
        if not run.named:
            read.book(run.ledger, waiting.shares)
        left = read.left(waiting.shares)
        booked = [share._replace(amount=read.cost.of(share)) for share in waiting.shares]
        if all(share.unit != "tokens" for share in booked):
            booked.append(PendingShare("", "tokens", read.cost.used.tokens))
        run.replace(waiting.names, _sum(waiting.shares), _sum(booked), _sum(left), read.cost.basis)
        if read.rest is not None:
            self._wait(read.rest, waiting._replace(shares=left))

    def _wait(self, answer: str, waiting: _Waiting) -> None:
        with self._lock:
            self._waiting.setdefault(answer, []).append(waiting)
            if len(self._waiting) > MOST:
                del self._waiting[next(iter(self._waiting))]


def _is_kept(ledger: SharedRunLedger, share: PendingShare) -> bool:
    """Return whether the run of a share is not over; if the ledger is away, what is booked waits in its journal."""
    try:
        return ledger.is_kept(share.key)
    except LedgerError:
        return True


def _sum(shares: Sequence[PendingShare]) -> Amounts:
    by_unit = {share.unit: share.amount for share in shares}
    return Amounts(by_unit.get("usd", 0), 0, by_unit.get("tokens", 0))


_NONE = CallId("none", 0)
"""The id of a rest, for which no call has reserved anything."""


def _id(answer: str) -> CallId:
    """Return the id under which a run has booked an answer. It is not that of the backend's booking."""
    return CallId(f"run-{answer}", 0)
