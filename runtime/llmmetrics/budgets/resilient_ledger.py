"""Wraps a ledger: backs off after a failure, replays unsent entries, re-sends entries that the ledger has lost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TypeVar, TypeVarTuple, Unpack

from llmmetrics.budgets.acknowledged import NOTHING, Acknowledged, Seen
from llmmetrics.budgets.journal import Entry, Journal
from llmmetrics.budgets.ledgers import Balance, Booked, CallId, Ledger, Standing
from llmmetrics.budgets.ledgers.base import Pending, ReplacedError, TagSum
from llmmetrics.budgets.ledgers.memory import MemoryLedger
from llmmetrics.errors import LedgerError
from llmmetrics.settings.windows import Window
from llmmetrics.system.clock import Clock, uptime_of

T = TypeVar("T")
A = TypeVar("A", Standing, Balance)
Args = TypeVarTuple("Args")

PATIENCE = 1.0
"""Seconds for which a ledger that has failed is not asked again."""

BACKLOG = 100
"""Entries that wait which a caller books before its own question; more are left to the thread that catches up."""


class NotAskedError(LedgerError):
    """The ledger failed a moment ago, and was not asked again."""


class ResilientLedger:
    """Asks a ledger for one process. `failed` gets the kind of each failure: `unavailable`, `shrank` or `internal`.

    `window_of` gives the window that a key's call belongs to, by when it was admitted.
    """

    def __init__(
        self,
        ledger: Ledger,
        journal: Journal,
        clock: Clock,
        window_of: Callable[[str, datetime], Window],
        failed: Callable[[str, Exception], object],
    ) -> None:
        self.ledger = ledger
        self.here = ledger if isinstance(ledger, MemoryLedger) and not journal else None
        """The ledger, if it is this process's own memory: it is never away, and what it has lost the process has."""
        self._journal = journal
        self._clock = clock
        self._uptime = uptime_of(clock)
        self._window_of = window_of
        self._failed = failed
        self._down_until = float("-inf")
        self._acknowledged = Acknowledged()

    def reserve(
        self, key: str, window: Window, amount: int, limit: int | None, id: CallId, at: datetime, lease: float
    ) -> Standing:
        """Do as `Ledger.reserve`. Raises `LedgerError` also for a ledger that has lost what it had acknowledged."""
        if self.here is not None:
            return self.here.reserve(key, window, amount, limit, id, at, self._uptime(), lease)
        known = self._acknowledged.seen(key, window)
        asked = (key, window, amount, limit, id, at, self._uptime(), lease)
        standing = self._ask(self.ledger.reserve, *asked)
        answer = Seen.of(standing)
        if answer < known:
            # what it still has counts once
            standing = self._ask(self._recover, key, window, known, partial(self.ledger.reserve, *asked))
        elif answer > known:
            self._acknowledged.note(key, window, answer)
        return standing

    def settle(self, entry: Entry, window: Window) -> int | None:
        """Book an entry in the window that it was admitted in; return what that has spent now.

        None if the ledger is away: the entry waits.
        """
        if self.here is not None:
            return self.here.settle(*entry[:3], entry.basis, entry.admitted, window).spent
        try:
            return self._ask(self._settle_first, entry, window)
        except LedgerError:
            self._journal.append(entry)
            return None

    def abandon(self, entry: Entry) -> None:
        """Release what the ledger may have reserved although its answer did not come, when it is back."""
        self._journal.append(entry._replace(amount=0))

    def renew(self, entry: Entry, lease: float) -> None:
        """Extend the lease of a reservation, if the ledger is there."""
        of_call = (entry.key, entry.id, entry.amount, entry.admitted)
        with suppress(LedgerError):
            self._ask(self.ledger.renew, *of_call, self._uptime(), lease)

    def balance(self, key: str, window: Window) -> Balance:
        """Do as `Ledger.balance`."""
        balance = self._ask(self.ledger.balance, key, window, self._uptime())
        self._acknowledged.note(key, window, Seen.of(balance))
        return balance

    # answers that come later

    def defer(self, entry: Entry, id: CallId | None, answer: CallId, note: str | None) -> Booked:
        """Do as `Ledger.defer`, for the amount of an entry."""
        return self._ask(self._defer, entry, id, answer, note)

    def _defer(self, entry: Entry, id: CallId | None, answer: CallId, note: str | None) -> Booked:
        window = self._window_of(entry.key, entry.admitted)
        known = self._acknowledged.seen(entry.key, window)
        booked = self.ledger.defer(entry.key, id, entry.amount, entry.admitted, window, answer, note)
        self._booked(entry, window, known, booked)
        return booked

    def pending(self, answer: CallId) -> Pending | None:
        """Do as `Ledger.pending`."""
        return self._ask(self.ledger.pending, answer)

    def pending_counts(self) -> Mapping[str, int]:
        """Do as `Ledger.pending_counts`."""
        return self._ask(self.ledger.pending_counts)

    def advance(self, mark: str, to: int) -> int:
        """Do as `Ledger.advance`."""
        return self._ask(self.ledger.advance, mark, to)

    def marks(self, prefix: str) -> Mapping[str, int]:
        """Do as `Ledger.marks`."""
        return self._ask(self.ledger.marks, prefix)

    def forget(self, name: str) -> None:
        """Do as `Ledger.forget`."""
        self._acknowledged.forget(name)
        self._ask(self.ledger.forget, name)

    def tally(self, id: CallId, sums: Sequence[TagSum]) -> None:
        """Do as `Ledger.tally`."""
        self._ask(self.ledger.tally, id, sums)

    def worst_case(self, key: str, window: Window) -> int | None:
        """Read what a window has booked as worst case; None if the ledger is away."""
        try:
            return self.balance(key, window).worst_case
        except LedgerError:
            return None

    def claim_alert(self, key: str, window: Window, share: str) -> bool | None:
        """Do as `Ledger.claim_alert`; None if the ledger is away."""
        try:
            return self._ask(self.ledger.claim_alert, key, window, share)
        except LedgerError:
            return None

    def retire(self, owners: Collection[tuple[str, str]]) -> Collection[tuple[str, str]]:
        """Do as `Ledger.retire`, for pairs of key and owner; return those that are left.

        While entries wait that the ledger must count once, all of them are.
        """
        if not owners or self._journal:
            return owners
        self._acknowledged.retire(owners)
        left = []
        for key, owner in owners:
            try:
                self._ask(self.ledger.retire, key, owner)
            except LedgerError:
                left.append((key, owner))
        return left

    def catch_up(self) -> None:
        """Book what waits, if the ledger is back."""
        if self._journal:
            with suppress(LedgerError):
                self._ask(lambda: None, backlog=None)

    def _settle_first(self, entry: Entry, window: Window) -> int:
        """Book an entry that the ledger was never asked to book."""
        known = self._acknowledged.seen(entry.key, window)
        # not `_settle`, which would note the answer once more
        booked = self.ledger.settle(entry.key, entry.id, entry.amount, entry.basis, entry.admitted, window)
        self._acknowledged.remember(entry)
        self._booked(entry, window, known, booked)
        return booked.spent

    def _booked(self, entry: Entry, window: Window, known: Seen, booked: Booked) -> None:
        """Note the answer to a booking that the ledger was never asked for."""
        answer, ours = Seen.of(booked), int(entry.amount > 0 and booked.first and not booked.replaced)
        if Seen(answer.generation, answer.bookings - ours) < known:
            # it has lost something: remember what it should have, so that this booking does not hide that
            answer = known._replace(bookings=known.bookings + ours)
        self._acknowledged.note(entry.key, window, answer)

    def _settle(self, entry: Entry) -> Booked:
        answer = self._book(entry)
        self._acknowledged.remember(entry)
        return answer

    def _book(self, entry: Entry) -> Booked:
        window = self._window_of(entry.key, entry.admitted)
        booked = self.ledger.settle(entry.key, entry.id, entry.amount, entry.basis, entry.admitted, window)
        self._acknowledged.note(entry.key, window, Seen.of(booked))
        return booked

    # a ledger that fails

    def _ask(self, ask: Callable[[Unpack[Args]], T], *args: *Args, backlog: int | None = BACKLOG) -> T:
        if self._clock.monotonic() < self._down_until:
            raise NotAskedError(f"{self.ledger.name} failed a moment ago")
        try:
            try:
                if self._journal:
                    self._replay(backlog)
                return ask(*args)
            except ReplacedError as exc:
                self._send_again(exc)
                self._replay(backlog)
                return ask(*args)
        except LedgerError as exc:
            self._down_until = self._clock.monotonic() + PATIENCE
            self._failed("unavailable", exc)
            raise
        except Exception as exc:
            self._down_until = self._clock.monotonic() + PATIENCE
            self._failed("internal", exc)
            raise LedgerError(f"{self.ledger.name} cannot be asked ({type(exc).__name__})") from None

    def _replay(self, backlog: int | None) -> None:
        """Book what waits, unless it is more than `backlog`; but first look for a loss that this would hide."""
        waiting = self._journal.waiting
        if not waiting or (backlog is not None and len(waiting) > backlog):
            return
        for key, window in {(each.key, self._window_of(each.key, each.admitted)) for each in waiting}:
            known = self._acknowledged.seen(key, window)
            ask = partial(self.ledger.balance, key, window, self._uptime())
            if known != NOTHING and Seen.of(ask()) < known:
                self._recover(key, window, known, ask)
        self._journal.replay(self._settle, backlog)

    # a ledger that has lost something

    def _recover(self, key: str, window: Window, known: Seen, ask: Callable[[], A]) -> A:
        """Ask again, and then after sending again, a ledger whose answer was lower than a known one.

        Raises `LedgerError` if it still is.
        """
        # an old master that has come back empty may have answered, as long as its Sentinels have not named another
        self.ledger.look_again()
        answer = ask()
        if Seen.of(answer) < known and self._acknowledged.is_new_loss(key, window, Seen.of(answer)):
            self._send_again()
            answer = ask()
        if not self._acknowledged.accept(key, window, known, Seen.of(answer)):
            raise LedgerError(
                f"{self.ledger.name} has lost spend of {key!r} that this process cannot send again: compare "
                "with the provider's bill, then run `llmmetrics budget reset`"
            )
        return answer

    def _send_again(self, exc: LedgerError | None = None) -> None:
        """Book again what this process has booked last; by their ids the ledger counts what it still has once."""
        self._failed("shrank", exc or LedgerError(f"{self.ledger.name} has lost spend that it had acknowledged"))
        for entry in self._acknowledged.bookings():
            self._book(entry)
