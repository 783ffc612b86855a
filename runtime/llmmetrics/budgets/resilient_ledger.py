"""A ledger that may be away, or forget: not asked again at once, and told again what it was not told or has lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from threading import Lock
from typing import NamedTuple, TypeVar, TypeVarTuple, Unpack

from llmmetrics.budgets.journal import Entry, Journal
from llmmetrics.budgets.ledgers import Balance, Ledger, Standing
from llmmetrics.errors import LedgerError
from llmmetrics.settings.windows import Window
from llmmetrics.system import processes
from llmmetrics.system.clock import Clock

T = TypeVar("T")
Args = TypeVarTuple("Args")

PATIENCE = 1.0
"""Seconds for which a ledger that has failed is not asked again."""

REMEMBERED = 4096
"""Bookings that this process can tell a ledger again."""

BACKLOG = 100
"""Entries that wait which a caller books before its own question; more are left to the thread that catches up."""

MOST_WINDOWS = 1000


class _Seen(NamedTuple):
    """What a ledger has said of a window. Only an operator's reset lowers it, with a new generation."""

    generation: int
    spent: int

    def contradicts(self, generation: int, spent: int) -> bool:
        return generation == self.generation and spent < self.spent


_NOTHING = _Seen(0, 0)


class NotAskedError(LedgerError):
    """The ledger failed a moment ago, and was not asked again."""


class ResilientLedger:
    """Stands before a ledger. `failed` is told the kind of each failure: `unavailable`, `shrank` or `internal`.

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
        self._lock = Lock()
        processes.on_fork(self._forked)

    def reserve(
        self, backend: str, window: Window, amount: int, limit: int | None, id: str, now: datetime, lease: timedelta
    ) -> Standing:
        """As the ledger's. Raises `LedgerError` also for one that has lost what it had acknowledged."""
        before = self.seen(backend, window)
        asked = (backend, window, amount, limit, id, now, lease)
        standing = self._ask(self.ledger.reserve, *asked)
        if before == (standing.generation, standing.spent):
            return standing
        if before.contradicts(standing.generation, standing.spent):
            self._failed("shrank", LedgerError(f"{self.ledger.name} has lost spend that it had acknowledged"))
            for entry in list(self._recent):
                self._ask(self._settle, entry, True)
            # what it still had has counted once
            standing = self._ask(self.ledger.reserve, *asked)
            if before.contradicts(standing.generation, standing.spent):
                raise LedgerError(f"{self.ledger.name} has lost spend that nobody here can tell it again")
        self._note(backend, window, standing.generation, standing.spent)
        return standing

    def settle(self, entry: Entry) -> int | None:
        """Book an entry; what its window has spent now. None where the ledger is away: it will be told."""
        try:
            return self._ask(self._settle, entry)
        except LedgerError:
            self._journal.append(entry)
            return None

    def abandon(self, entry: Entry) -> None:
        """Let go of what the ledger may have reserved without our hearing of it, when it is back."""
        self._journal.append(entry._replace(amount=0))

    def renew(self, entry: Entry, now: datetime, lease: timedelta) -> None:
        """Extend the lease of a reservation, if the ledger is there."""
        with suppress(LedgerError):
            self._ask(self.ledger.renew, entry.backend, entry.id, entry.amount, entry.admitted, now, lease)

    def balance(self, backend: str, window: Window, now: datetime) -> Balance:
        """As the ledger's."""
        return self._ask(self.ledger.balance, backend, window, now)

    def catch_up(self) -> None:
        """Book what waits, if the ledger is back."""
        if self._journal:
            with suppress(LedgerError):
                self._ask(lambda: None, backlog=None)

    def seen(self, backend: str, window: Window) -> _Seen:
        """The most spent that the ledger has said of this window."""
        return self._seen.get((backend, window), _NOTHING)

    def _settle(self, entry: Entry, again: bool = False) -> int:  # noqa: FBT002
        window = self._window_of(entry.backend, entry.admitted)
        balance = self.ledger.settle(entry.backend, entry.id, entry.amount, entry.admitted, window)
        if entry.amount and not again:
            self._recent.append(entry)
        self._note(entry.backend, window, balance.generation, balance.spent)
        return balance.spent

    def _ask(self, ask: Callable[[Unpack[Args]], T], *args: *Args, backlog: int | None = BACKLOG) -> T:
        if self._clock.monotonic() < self._down_until:
            raise NotAskedError(f"{self.ledger.name} failed a moment ago")
        try:
            if self._journal:
                self._journal.replay(self._settle, backlog)
            return ask(*args)
        except LedgerError as exc:
            self._down_until = self._clock.monotonic() + PATIENCE
            self._failed("unavailable", exc)
            raise
        except Exception as exc:
            self._failed("internal", exc)
            raise LedgerError(f"{self.ledger.name} cannot be asked ({type(exc).__name__})") from None

    def _note(self, backend: str, window: Window, generation: int, spent: int) -> None:
        with self._lock:
            known = self.seen(backend, window)
            if generation > known.generation or (generation == known.generation and spent > known.spent):
                if len(self._seen) > MOST_WINDOWS:
                    self._seen.clear()
                self._seen[backend, window] = _Seen(generation, spent)

    def _forked(self) -> None:
        self._lock = Lock()
