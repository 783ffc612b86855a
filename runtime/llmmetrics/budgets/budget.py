"""Spend limits: whether a call may be made, what it came to, and what a scrape shows of them.

Money is in integer pico-dollars here and in the ledger.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple
from uuid import uuid4

from llmmetrics.budgets.amounts import usd
from llmmetrics.budgets.journal import Entry, Journal
from llmmetrics.budgets.ledgers import Balance, Basis, CallId, Ledger, Standing
from llmmetrics.budgets.ledgers.base import MOST, new_tuple
from llmmetrics.budgets.resilient_ledger import NotAskedError, ResilientLedger
from llmmetrics.budgets.spend_alerts import SpendAlert, SpendAlerts
from llmmetrics.budgets.spend_limit import NO_ID, Moment, SpendLimit
from llmmetrics.budgets.tag_sums import TagSums
from llmmetrics.errors import BudgetExceeded, LedgerError, Reason
from llmmetrics.metrics.registry import Families, Spend
from llmmetrics.settings.model import Budget as Settings
from llmmetrics.settings.model import BudgetMode, OnLedgerError, OnUnknownPrice
from llmmetrics.settings.windows import ResetPeriod, Window, WindowSchedule
from llmmetrics.system import processes
from llmmetrics.system.clock import Clock, seconds_of

log = logging.getLogger("llmmetrics")

REASONS: Sequence[Reason] = ("limit", "unknown_price", "ledger")

LEDGER_ERRORS = ("unavailable", "slow", "shrank", "damaged", "internal")
"""The kinds of ledger errors. The metrics have all of them, with 0, from the start."""


class RunOwner(NamedTuple):
    """What the calls of a run have as the owner of their ids, in one process and for one key."""

    pid: int
    key: str
    owner: str


def _new_owner() -> str:
    """Make the name of one process life. A pid is none: the system gives it again to a later process."""
    return uuid4().hex[:16]


NEVER = WindowSchedule(ResetPeriod.NEVER)


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
        self.guard = ResilientLedger(ledger, journal, clock, self.window_of, self._failed)
        """The ledger, as it is asked for this process."""
        self._here, self._seconds = self.guard.here, seconds_of(clock)
        self.alerts = SpendAlerts(settings.spend_alerts, self.guard, families, on_alert)
        self.tag_sums = TagSums()
        self._shadow, self._strict = settings.mode is BudgetMode.SHADOW, settings.mode is BudgetMode.STRICT
        self._lease = settings.lease_seconds
        self._owner = _new_owner()
        self.in_flight: dict[tuple[str, CallId], Entry] = {}
        """Calls that are admitted and not booked; one of an amount has it reserved. Those of `NO_ID` are not here."""
        self.schedule_of: Callable[[str], WindowSchedule | None] = lambda _: None
        """Returns the windows of a key that is no backend's; None: it has one window, all time."""
        self.ended: deque[RunOwner] = deque()
        """Owners of runs that no code holds any more. The garbage collector appends to it."""
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

        `worst` is the most that it may cost, in pico-dollars, None if no price is known.
        """
        line = self.lines[backend]
        now = line.now
        if not now.since <= self._seconds() < now.until:
            now = line.turn(self._clock.now())
        if worst is None and self._settings.on_unknown_price is OnUnknownPrice.REFUSE:
            if not self._shadow:
                return self._refused(line, now.window, "unknown_price")
            self._would_refuse(line, "unknown_price")
        limit = None if self._shadow else line.limit
        if worst and self._strict:
            return self._reserve(line, now, min(worst, MOST), limit)
        if self._here is None:
            return self._reserve(line, now, 0, limit)
        if self._admits(line, now.window, self._here.standing(backend, now.window, limit)):
            return now.entry
        return self._refused(line, now.window, "limit")

    def _reserve(self, line: SpendLimit, now: Moment, amount: int, limit: int | None) -> Entry | BudgetExceeded:
        id = new_tuple(CallId, (self._owner, line.number()))
        entry = new_tuple(Entry, (line.backend, id, amount, now.at, Basis.KNOWN))
        try:
            standing = self.guard.reserve(line.backend, now.window, amount, limit, id, now.at, self._lease)
        except LedgerError as exc:
            if self._shadow or self._settings.on_ledger_error is OnLedgerError.ADMIT:
                return entry
            if amount and not isinstance(exc, NotAskedError):
                self.guard.abandon(entry)
            else:
                line.unused.append(id.number)
            return self._refused(line, now.window, "ledger")
        if not self._admits(line, now.window, standing):
            line.unused.append(id.number)
            return self._refused(line, now.window, "limit")
        self.in_flight[line.backend, id] = entry
        return entry

    def _admits(self, line: SpendLimit, window: Window, standing: Standing) -> bool:
        admitted, line.spent, line.reserved, expired, generation, _ = standing
        if expired or generation != line.generation or self.alerts.shares:
            self._stands(line, window, standing)
        if self._shadow and standing.spent >= line.limit:
            self._would_refuse(line, "limit")
        return admitted

    def _refused(self, line: SpendLimit, window: Window, reason: Reason) -> BudgetExceeded:
        self._families["refusals"].labels(line.backend, reason).inc()
        if self._here is not None:
            # `book` does not ask how the window stands
            self._stands(line, window, self.guard.balance(line.backend, window))
        reserved = line.reserved if reason == "limit" else 0
        worst = self.guard.worst_case(line.backend, window) if reason == "limit" else None
        amounts = usd(line.spent), usd(reserved), usd(line.limit)
        return BudgetExceeded(
            line.backend,
            reason,
            *amounts,
            window.start,
            window.resets_at,
            worst_case=None if worst is None else usd(worst),
        )

    def _stands(self, line: SpendLimit, window: Window, answer: Standing | Balance) -> None:
        """Note how the ledger says that a window stands."""
        line.spent, line.reserved = answer.spent, answer.reserved
        if answer.expired:
            self._families["expired"].inc(answer.expired)
        if answer.generation != line.generation:
            # an operator has reset it: its alerts come again
            line.generation, line.alerted = answer.generation, set()
        if self.alerts.shares:
            self.alerts.look(line, window, answer.spent)

    def _would_refuse(self, line: SpendLimit, reason: Reason) -> None:
        self._families["shadow_refusals"].labels(line.backend, reason).inc()

    # after a call

    def book(self, admitted: Entry, amount: int, basis: Basis) -> None:
        """Book what a call cost, once, and release its reservation. If the ledger is away, the booking waits."""
        key, id, reserved, moment, _ = admitted
        if id is NO_ID and (here := self._here) is not None:
            if amount:
                here.book(key, amount, basis, moment)
                if self.alerts.shares:
                    window = self.window_of(key, moment)
                    self._spent(self.lines[key], window, self.guard.balance(key, window).spent)
            return
        self.in_flight.pop((key, id), None)
        if amount or reserved:
            self.settle(new_tuple(Entry, (key, id, min(MOST, amount), moment, basis)))
        elif id.owner == self._owner:
            # the ledger knows nothing of it
            self.lines[key].unused.append(id.number)

    def settle(self, entry: Entry) -> None:
        """Book an entry, also one of an answer that came later."""
        line = self.lines.get(entry.key)
        window = None if line is None else line.window
        # most calls end in the window that they were admitted in
        if window is None or not window.start <= entry.admitted < window.end:
            window = self.window_of(entry.key, entry.admitted)
        spent = self.guard.settle(entry, window)
        if line is not None and spent is not None:
            self._spent(line, window, spent)

    def _spent(self, line: SpendLimit, window: Window, spent: int) -> None:
        if window is line.window or window == line.window:
            line.spent = spent
            if self.alerts.shares:
                self.alerts.look(line, window, spent)

    def defer(self, entry: Entry, admitted: Entry | None, answer: CallId, note: str) -> None:
        """Book an entry as pending until its answer comes, in place of what an admitted call has reserved.

        Raises `LedgerError`.
        """
        booked = self.guard.defer(entry, admitted.id if admitted and admitted.amount else None, answer, note)
        line = self.lines.get(entry.key)
        if admitted is not None and line is not None:
            self.in_flight.pop((admitted.key, admitted.id), None)
            if not admitted.amount and admitted.id.owner == self._owner:
                line.unused.append(admitted.id.number)
            self._spent(line, self.window_of(entry.key, entry.admitted), booked.spent)

    # now and then

    def recur(self) -> None:
        """Renew the leases of calls in flight, and book what waits."""
        self.guard.catch_up()
        self.tag_sums.flush(self.guard)
        self._retire_runs()
        self._expire()
        for name, entry in list(self.in_flight.items()):
            if entry.amount and name in self.in_flight:
                self.guard.renew(entry, self._settings.lease_seconds)

    def _expire(self) -> None:
        """Look whether leases of processes that died have ended: without calls, nothing else would."""
        ours = Counter[str]()
        for entry in list(self.in_flight.values()):
            ours[entry.key] += entry.amount
        for line in self.lines.values():
            if line.window is not None and line.reserved > ours[line.backend]:
                with suppress(LedgerError):
                    window = line.at(self._clock.now())
                    self._stands(line, window, self.guard.balance(line.backend, window))

    def retire(self) -> None:
        """Tell the ledger, at the end, that this owner has settled all of its calls."""
        self._retire_runs()
        self.tag_sums.retire(self.guard)
        if not self.in_flight:
            self.guard.retire({(line.backend, self._owner) for line in self.lines.values() if line.used})

    def _retire_runs(self) -> None:
        owners = set[tuple[str, str]]()
        while self.ended:
            pid, key, owner = self.ended.popleft()
            if pid == processes.pid:
                owners.add((key, owner))
        self.ended.extend(RunOwner(processes.pid, *each) for each in self.guard.retire(owners))

    def spends(self) -> dict[str, Spend]:
        """Read what each backend has spent in the window of this moment. Raises `LedgerError`."""
        now, spends = self._clock.now(), {}
        for line in self.lines.values():
            window = line.at(now)
            balance = self.guard.balance(line.backend, window)
            self._stands(line, window, balance)
            blocked = balance.spent >= line.limit and self._settings.mode is not BudgetMode.SHADOW
            spends[line.backend] = Spend(balance.spent, line.limit, blocked, window, balance.by_basis)
        return spends

    def _forked(self) -> None:
        # the calls in flight are the parent's, and so are the ids that begin with its owner
        self.in_flight = {}
        self._owner = _new_owner()
        for line in self.lines.values():
            line.forked()

    def window_of(self, backend: str, moment: datetime) -> Window:
        """Return the window of a backend's, a run's or a tag's limit that a moment is in."""
        line = self.lines.get(backend)
        if line is None:
            # a run's or a tag's; or a journal holds a backend that is configured no more
            return (self.schedule_of(backend) or NEVER).window(moment)
        window = line.window
        return window if window is not None and window.holds(moment) else line.shape.window(moment)

    def _failed(self, kind: str, exc: Exception) -> None:
        self._families["ledger_errors"].labels(kind).inc()
        if kind not in self._logged:
            self._logged.add(kind)
            log.error("the budgets' ledger: %s", exc)
