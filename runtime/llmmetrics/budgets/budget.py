"""Spend limits: whether a call may be made, what it came to, and what a scrape shows of them.

Money is in integer nano-dollars here and in the ledger.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from typing import NamedTuple
from uuid import uuid4

from llmmetrics.budgets.journal import Entry, Journal
from llmmetrics.budgets.ledgers import Ledger, Standing
from llmmetrics.budgets.resilient_ledger import NotAskedError, ResilientLedger
from llmmetrics.budgets.worker import Worker
from llmmetrics.errors import BudgetExceeded, LedgerError, Reason
from llmmetrics.metrics.registry import Families, Spend
from llmmetrics.settings.model import Budget as Settings
from llmmetrics.settings.model import BudgetMode, OnLedgerError, OnUnknownPrice
from llmmetrics.settings.windows import ResetPeriod, Window, WindowSchedule
from llmmetrics.system import processes
from llmmetrics.system.clock import Clock

log = logging.getLogger("llmmetrics")

_ATTO = 10**9
"""Attodollars in a nano-dollar."""

REASONS: Sequence[Reason] = ("limit", "unknown_price", "ledger")

LEDGER_ERRORS = ("unavailable", "slow", "shrank", "damaged", "internal")
"""The kinds of ledger errors. The metrics have all of them, with 0, from the start."""


def usd(nano: int) -> Decimal:
    """Convert nano-dollars to USD, without zeros at the end."""
    amount = Decimal(nano).scaleb(-9)
    whole = amount.to_integral_value()
    return whole if whole == amount else amount.normalize()


def nano(atto: int) -> int:
    """Round attodollars to the nearest nano-dollar."""
    return (atto + _ATTO // 2) // _ATTO


def nano_up(atto: int) -> int:
    """Round attodollars up to nano-dollars."""
    return -(-atto // _ATTO)


def _new_owner() -> str:
    """Make the name of one process life. A pid is none: the system gives it again to a later process."""
    return uuid4().hex[:16]


class SpendAlert(NamedTuple):
    """A share of a limit that this window's spend has reached; amounts in USD."""

    backend: str
    share: Decimal
    spent: Decimal
    limit: Decimal
    window_start: datetime
    resets_at: datetime | None


@dataclass
class SpendLimit:
    """One backend's limit, in nano-dollars a window."""

    backend: str
    limit: int
    shape: WindowSchedule
    window: Window | None = None
    alerted: set[Decimal] = field(default_factory=set)

    def at(self, now: datetime) -> Window:
        """Return the window of this moment. Every window has alerts of its own."""
        window = self.window
        if window is None or not window.holds(now):
            self.window = window = self.shape.window(now)
            self.alerted = set()
        return window


class SpendLimits:
    """The limits of a meter's backends, kept in one ledger."""

    def __init__(
        self,
        settings: Settings,
        lines: Mapping[str, SpendLimit],
        ledger: Ledger,
        journal: Journal,
        clock: Clock,
        families: Families,
        on_alert: Callable[[SpendAlert], object] | None = None,
    ) -> None:
        self.lines = lines
        self.ledger = ledger
        self._settings = settings
        self._clock = clock
        self._families = families
        self._on_alert = on_alert
        self.alerts = Worker("llmmetrics-alerts")
        """Calls `on_alert`, which may itself make calls that wait for the ledger's thread."""
        self._guard = ResilientLedger(ledger, journal, clock, self._window_of, self._failed)
        self._lease = timedelta(seconds=settings.lease_seconds)
        self._owner, self._numbers = _new_owner(), count()
        self.in_flight: dict[str, Entry] = {}
        """Calls that are admitted and not booked; one of an amount has it reserved."""
        self._logged: set[str] = set()
        for name in lines:
            for reason in REASONS:
                families["refusals"].labels(name, reason)
        for kind in LEDGER_ERRORS:
            families["ledger_errors"].labels(kind)
        families["ledger_errors"].labels("damaged").inc(journal.skipped)
        processes.on_fork(self._forked)

    # before a call

    def admit(self, backend: str, worst: int | None) -> Entry | BudgetExceeded:
        """Decide whether a call may be made: return what to `book` it under, or the refusal.

        `worst` is the most that it may cost, in nano-dollars, None if no price is known.
        """
        line, now, mode = self.lines[backend], self._clock.now(), self._settings.mode
        window = line.at(now)
        shadow = mode is BudgetMode.SHADOW
        if worst is None and self._settings.on_unknown_price is OnUnknownPrice.REFUSE:
            if not shadow:
                return self._refused(line, window, "unknown_price")
            self._would_refuse(line, "unknown_price")
        amount = (worst or 0) if mode is BudgetMode.STRICT else 0
        entry = Entry(backend, f"{self._owner}-{next(self._numbers)}", amount, now)
        limit = None if shadow else line.limit
        try:
            standing = self._guard.reserve(backend, window, amount, limit, entry.id, now, self._lease)
        except LedgerError as exc:
            if shadow or self._settings.on_ledger_error is OnLedgerError.ADMIT:
                return entry
            if amount and not isinstance(exc, NotAskedError):
                self._guard.abandon(entry)
            return self._refused(line, window, "ledger")
        if standing.expired:
            self._families["expired"].inc(standing.expired)
        self._alert(line, window, standing.spent)
        if not standing.admitted:
            return self._refused(line, window, "limit", standing)
        if shadow and standing.spent >= line.limit:
            self._would_refuse(line, "limit")
        self.in_flight[entry.id] = entry
        return entry

    def _refused(
        self, line: SpendLimit, window: Window, reason: Reason, standing: Standing | None = None
    ) -> BudgetExceeded:
        self._families["refusals"].labels(line.backend, reason).inc()
        spent = standing.spent if standing else self._guard.seen(line.backend, window).spent
        reserved = standing.reserved if standing else 0
        return BudgetExceeded(
            line.backend, reason, usd(spent), usd(reserved), usd(line.limit), window.start, window.resets_at
        )

    def _would_refuse(self, line: SpendLimit, reason: Reason) -> None:
        self._families["shadow_refusals"].labels(line.backend, reason).inc()

    # after a call

    def book(self, admitted: Entry, amount: int) -> None:
        """Book what a call cost, once, and release its reservation. If the ledger is away, the booking waits."""
        self.in_flight.pop(admitted.id, None)
        if not amount and not admitted.amount:
            return
        spent = self._guard.settle(Entry(admitted.backend, admitted.id, amount, admitted.admitted))
        line = self.lines[admitted.backend]
        if spent is not None and line.window is not None and line.window.holds(admitted.admitted):
            self._alert(line, line.window, spent)

    def _alert(self, line: SpendLimit, window: Window, spent: int) -> None:
        for share in self._settings.spend_alerts:
            if share not in line.alerted and spent >= share * line.limit:
                line.alerted.add(share)
                alert = SpendAlert(line.backend, share, usd(spent), usd(line.limit), window.start, window.resets_at)
                log.warning(
                    "%r has spent $%s, which is %d %% or more of its $%s since %s",
                    *(alert.backend, alert.spent, share * 100, alert.limit, window.start.isoformat()),
                )
                if self._on_alert:
                    self.alerts.submit(partial(self._tell, self._on_alert, alert))

    def _tell(self, on_alert: Callable[[SpendAlert], object], alert: SpendAlert) -> None:
        try:
            on_alert(alert)
        except Exception as exc:
            self._families["internal"].labels("on_spend_alert").inc()
            log.warning("on_spend_alert raised %s: the alert is lost, the call goes on", type(exc).__name__)

    # now and then

    def recur(self) -> None:
        """Renew the leases of calls in flight, and book what waits."""
        self._guard.catch_up()
        for entry in list(self.in_flight.values()):
            if entry.amount and entry.id in self.in_flight:
                self._guard.renew(entry, self._clock.now(), self._lease)

    def spends(self) -> dict[str, Spend]:
        """Read what each backend has spent in the window of this moment. Raises `LedgerError`."""
        now, spends = self._clock.now(), {}
        for line in self.lines.values():
            window = line.at(now)
            balance = self._guard.balance(line.backend, window, now)
            if balance.expired:
                self._families["expired"].inc(balance.expired)
            self._alert(line, window, balance.spent)
            blocked = balance.spent >= line.limit and self._settings.mode is not BudgetMode.SHADOW
            spends[line.backend] = Spend(balance.spent, line.limit, blocked, window)
        return spends

    def _forked(self) -> None:
        # the calls in flight are the parent's, and so are the ids that begin with its owner
        self.in_flight = {}
        self._owner = _new_owner()

    def _window_of(self, backend: str, moment: datetime) -> Window:
        line = self.lines.get(backend)
        if line is None:
            # a journal may hold a backend that is configured no more
            return WindowSchedule(ResetPeriod.NEVER).window(moment)
        # nearly every call belongs to the window of now, which is known
        window = line.window
        return window if window is not None and window.holds(moment) else line.shape.window(moment)

    def _failed(self, kind: str, exc: Exception) -> None:
        self._families["ledger_errors"].labels(kind).inc()
        if kind not in self._logged:
            self._logged.add(kind)
            log.error("the budgets' ledger: %s", exc)
