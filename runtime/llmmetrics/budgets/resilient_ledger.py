"""Wraps a ledger: backs off after a failure, replays unsent entries, re-sends entries that the ledger has lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from threading import Lock
from typing import NamedTuple, TypeVar, TypeVarTuple, Unpack

from llmmetrics.budgets.journal import Entry, Journal
from llmmetrics.budgets.ledgers import Balance, Ledger, Standing
from llmmetrics.budgets.ledgers.base import ReplacedError
from llmmetrics.errors import LedgerError
from llmmetrics.settings.windows import Window
from llmmetrics.system import processes
from llmmetrics.system.clock import Clock

T = TypeVar("T")
Args = TypeVarTuple("Args")

PATIENCE = 1.0
"""Seconds for which a ledger that has failed is not asked again."""

REMEMBERED = 4096
"""Bookings that this process can send to a ledger again."""

BACKLOG = 100
"""Entries that wait which a caller books before its own question; more are left to the thread that catches up."""

MOST_WINDOWS = 1000


class _Seen(NamedTuple):
    """A ledger's answer about a window. It never sinks: an operator's reset lowers `spent` and raises `generation`."""

    generation: int
    spent: int


_NOTHING = _Seen(0, 0)


class NotAskedError(LedgerError):
    """The ledger failed a moment ago, and was not asked again."""


class ResilientLedger:
    """Asks a ledger for one process. `failed` gets the kind of each failure: `unavailable`, `shrank` or `internal`.

    `window_of` gives the window that a backend's call belongs to, by when it was admitted.
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
        self._journal = journal
        self._clock = clock
        self._window_of = window_of
        self._failed = failed
        self._down_until = float("-inf")
        self._recent: deque[Entry] = deque(maxlen=REMEMBERED)
        self._seen: dict[tuple[str, Window], _Seen] = {}
        self._losses: dict[tuple[str, Window], _Seen] = {}
        """The last answer about a window that has lost more than this process can send again."""
        self._lock = Lock()
        processes.on_fork(self._forked)

    def reserve(
        self, backend: str, window: Window, amount: int, limit: int | None, id: str, now: datetime, lease: timedelta
    ) -> Standing:
        """Do as `Ledger.reserve`. Raises `LedgerError` also for a ledger that has lost what it had acknowledged."""
        known = self.seen(backend, window)
        asked = (backend, window, amount, limit, id, now, lease)
        standing = self._ask(self.ledger.reserve, *asked)
        answer = _Seen(standing.generation, standing.spent)
        if answer < known:
            if self._is_new_loss(backend, window, answer):
                self._ask(self._send_again)
                # what it still had has counted once
                standing = self._ask(self.ledger.reserve, *asked)
                answer = _Seen(standing.generation, standing.spent)
            self._accept(backend, window, known, answer)
        elif answer > known:
            self._note(backend, window, answer)
        return standing

    def settle(self, entry: Entry) -> int | None:
        """Book an entry; return what its window has spent now. None if the ledger is away: the entry waits."""
        try:
            return self._ask(self._settle_first, entry)
        except LedgerError:
            self._journal.append(entry)
            return None

    def abandon(self, entry: Entry) -> None:
        """Release what the ledger may have reserved although its answer did not come, when it is back."""
        self._journal.append(entry._replace(amount=0))

    def renew(self, entry: Entry, now: datetime, lease: timedelta) -> None:
        """Extend the lease of a reservation, if the ledger is there."""
        with suppress(LedgerError):
            self._ask(self.ledger.renew, entry.backend, entry.id, entry.amount, entry.admitted, now, lease)

    def balance(self, backend: str, window: Window, now: datetime) -> Balance:
        """Do as `Ledger.balance`."""
        balance = self._ask(self.ledger.balance, backend, window, now)
        self._note(backend, window, _Seen(balance.generation, balance.spent))
        return balance

    def catch_up(self) -> None:
        """Book what waits, if the ledger is back."""
        if self._journal:
            with suppress(LedgerError):
                self._ask(lambda: None, backlog=None)

    def seen(self, backend: str, window: Window) -> _Seen:
        """Return the highest answer about this window."""
        return self._seen.get((backend, window), _NOTHING)

    def _settle_first(self, entry: Entry) -> int:
        """Book an entry that the ledger was never asked to book."""
        window = self._window_of(entry.backend, entry.admitted)
        known = self.seen(entry.backend, window)
        answer = self._settle(entry)
        if answer._replace(spent=answer.spent - entry.amount) < known:
            # it has lost something: remember what it should have, so that this booking does not hide that
            self._note(entry.backend, window, known._replace(spent=known.spent + entry.amount))
        return answer.spent

    def _settle(self, entry: Entry) -> _Seen:
        answer = self._book(entry)
        if entry.amount:
            with self._lock:
                self._recent.append(entry)
        return answer

    def _book(self, entry: Entry) -> _Seen:
        window = self._window_of(entry.backend, entry.admitted)
        balance = self.ledger.settle(entry.backend, entry.id, entry.amount, entry.admitted, window)
        answer = _Seen(balance.generation, balance.spent)
        self._note(entry.backend, window, answer)
        return answer

    # a ledger that fails

    def _ask(self, ask: Callable[[Unpack[Args]], T], *args: *Args, backlog: int | None = BACKLOG) -> T:
        if self._clock.monotonic() < self._down_until:
            raise NotAskedError(f"{self.ledger.name} failed a moment ago")
        try:
            try:
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
            self._failed("internal", exc)
            raise LedgerError(f"{self.ledger.name} cannot be asked ({type(exc).__name__})") from None

    def _replay(self, backlog: int | None) -> None:
        """Book what waits, unless it is more than `backlog`; but first look for a loss that this would hide."""
        waiting = self._journal.waiting
        if not waiting or (backlog is not None and len(waiting) > backlog):
            return
        for backend, window in {(each.backend, self._window_of(each.backend, each.admitted)) for each in waiting}:
            known = self.seen(backend, window)
            if known == _NOTHING:
                continue
            answer = self._answer(backend, window)
            if answer < known:
                if self._is_new_loss(backend, window, answer):
                    self._send_again()
                    answer = self._answer(backend, window)
                self._accept(backend, window, known, answer)
        self._journal.replay(self._settle, backlog)

    def _answer(self, backend: str, window: Window) -> _Seen:
        balance = self.ledger.balance(backend, window, self._clock.now())
        return _Seen(balance.generation, balance.spent)

    # a ledger that has lost something

    def _is_new_loss(self, backend: str, window: Window, answer: _Seen) -> bool:
        """Check whether bookings were not sent again yet for this loss: doing so at every call would not help."""
        before = self._losses.get((backend, window))
        return before is None or answer < before

    def _send_again(self, exc: LedgerError | None = None) -> None:
        """Book again what this process has booked last; by their ids the ledger counts what it still has once."""
        self._failed("shrank", exc or LedgerError(f"{self.ledger.name} has lost spend that it had acknowledged"))
        for entry in list(self._recent):
            self._book(entry)

    def _accept(self, backend: str, window: Window, known: _Seen, answer: _Seen) -> None:
        """Go on from an answer that is lower than a known one, or raise `LedgerError`."""
        before = self._losses.get((backend, window))
        is_reset = before is not None and answer.generation > before.generation
        if answer.spent < known.spent and not is_reset:
            self._losses[backend, window] = answer
            raise LedgerError(
                f"{self.ledger.name} has lost spend of {backend!r} that this process cannot send again: compare "
                "with the provider's bill, then run `llmmetrics budget reset`"
            )
        with self._lock:
            self._losses.pop((backend, window), None)
            self._seen[backend, window] = answer
            if is_reset:
                self._forget(backend, window)

    def _note(self, backend: str, window: Window, answer: _Seen) -> None:
        with self._lock:
            known = self.seen(backend, window)
            if answer <= known:
                return
            if len(self._seen) > MOST_WINDOWS:
                self._seen.clear()
            self._seen[backend, window] = answer
            if answer.generation > known.generation:
                self._forget(backend, window)

    def _forget(self, backend: str, window: Window) -> None:
        """Forget what was booked before a reset: the operator has taken it off."""
        kept = [each for each in self._recent if each.backend != backend or not window.holds(each.admitted)]
        self._recent = deque(kept, maxlen=REMEMBERED)

    def _forked(self) -> None:
        self._lock = Lock()
