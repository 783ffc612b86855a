"""The budget of a run in a ledger: what its calls may come to, in dollars, calls and tokens."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from math import inf
from typing import NamedTuple, Protocol
from uuid import uuid4
from weakref import finalize

from llmmetrics.budgets.budget import RunOwner, SpendLimits
from llmmetrics.budgets.journal import Entry
from llmmetrics.budgets.ledgers import Balance, Basis, CallId, Standing
from llmmetrics.budgets.ledgers.base import MOST, milliseconds
from llmmetrics.budgets.ledgers.memory import MemoryLedger
from llmmetrics.errors import LedgerError
from llmmetrics.settings.windows import ResetPeriod, Window, WindowSchedule
from llmmetrics.system import processes

UNITS = ("usd", "calls", "tokens")
"""What a run can limit, in the order in which a call reserves them. Dollars are in pico-dollars."""

NEVER = WindowSchedule(ResetPeriod.NEVER)

ALWAYS = NEVER.window(datetime(2000, 1, 1, tzinfo=UTC))
"""The window of every run: all time."""

RUN = "run:"
"""What the keys of runs begin with; the unit and the name follow."""

TAG = "tag:"
"""What the keys of tags with a limit begin with; TAG=VALUE follows."""

ENDS = "run-ends:"
"""What the marks begin with that say until when a run is kept, in milliseconds since 1970; the name follows."""


class Amounts(NamedTuple):
    """What a call comes to, or may come to, in each unit."""

    usd: int
    calls: int
    tokens: int


NONE = Amounts(0, 0, 0)


class RunRefusal(NamedTuple):
    """Why a call does not fit into a run; amounts in the unit."""

    unit: str
    spent: int
    reserved: int
    limit: int


class RunLedger(Protocol):
    """The part of a ledger that a run needs: a `ResilientLedger`, or one in memory."""

    def reserve(
        self, key: str, window: Window, amount: int, limit: int | None, id: CallId, at: datetime, lease: float
    ) -> Standing:
        """Do as `Ledger.reserve`."""

    def settle(self, entry: Entry) -> int | None:
        """Book an entry."""

    def defer(self, entry: Entry, answer: CallId) -> None:
        """Book an entry as pending, in place of what its id has reserved, until the answer's id is settled."""

    def balance(self, key: str, window: Window) -> Balance:
        """Do as `Ledger.balance`."""

    @property
    def ended(self) -> deque[RunOwner] | None:
        """What gets the owners of ids that no call uses any more; None: nothing is kept of them."""


class MemoryRunLedger:
    """The ledger of a run without a name: in this process, gone with the run."""

    ended = None

    def __init__(self) -> None:
        self._ledger = MemoryLedger()

    def reserve(
        self, key: str, window: Window, amount: int, limit: int | None, id: CallId, at: datetime, lease: float
    ) -> Standing:
        del lease  # a call that nothing holds any more is finished by the garbage collector
        return self._ledger.reserve(key, window, amount, limit, id, at, 0.0, inf)

    def settle(self, entry: Entry) -> int | None:
        return self._ledger.settle(*entry[:3], entry.basis, entry.admitted, ALWAYS).spent

    def defer(self, entry: Entry, answer: CallId) -> None:
        self._ledger.defer(*entry[:4], ALWAYS, answer, None)

    def balance(self, key: str, window: Window) -> Balance:
        return self._ledger.balance(key, window, 0.0)


class SharedRunLedger:
    """The ledger of named runs: that of a meter, with its journal and renewed leases."""

    def __init__(self, limits: SpendLimits) -> None:
        self._limits = limits
        self.ended = limits.ended

    def reserve(
        self, key: str, window: Window, amount: int, limit: int | None, id: CallId, at: datetime, lease: float
    ) -> Standing:
        standing = self._limits.guard.reserve(key, window, amount, limit, id, at, lease)
        if standing.admitted and amount:
            self._limits.in_flight[key, id] = Entry(key, id, amount, at)
        return standing

    def settle(self, entry: Entry) -> int | None:
        self._limits.in_flight.pop((entry.key, entry.id), None)
        return self._limits.guard.settle(entry, self._limits.window_of(entry.key, entry.admitted))

    def balance(self, key: str, window: Window) -> Balance:
        return self._limits.guard.balance(key, window)

    def defer(self, entry: Entry, answer: CallId) -> None:
        self._limits.guard.defer(entry, entry.id, answer, None)
        self._limits.in_flight.pop((entry.key, entry.id), None)

    def is_kept(self, key: str) -> bool:
        """Return whether a key is a tag's, or a run's whose time is not over. Raises `LedgerError`."""
        run = _run_of(key)
        return run is None or self._limits.guard.advance(f"{ENDS}{run}", 0) > 0

    def keep(self, run: str, now: datetime, until: datetime) -> None:
        """Keep a run until a moment, or longer if another process has said so; one whose time was over begins again."""
        before = self._limits.guard.advance(f"{ENDS}{run}", milliseconds(until))
        # a new name has nothing to forget: what is there by now, other processes have just booked
        if 0 < before < milliseconds(now):
            self._forget(run)

    def sweep(self, now: datetime) -> None:
        """Delete the runs whose time is over."""
        for mark, until in self._limits.guard.marks(ENDS).items():
            if until < milliseconds(now):
                self._forget(mark.removeprefix(ENDS))
                self._limits.guard.forget(mark)

    def _forget(self, run: str) -> None:
        for unit in UNITS:
            self._limits.guard.forget(f"{RUN}{unit}:{run}")


def _run_of(key: str) -> str | None:
    """Return the name of the run that a key belongs to; None for another key."""
    return key.split(":", 2)[2] if key.startswith(RUN) else None


class PendingShare(NamedTuple):
    """What a key has booked for an answer that comes later, in the unit of the key."""

    key: str
    unit: str
    amount: int


class _Line:
    """One unit of a run: its key in the ledger, its limit, and the numbers of its calls."""

    def __init__(self, key: str, unit: str, limit: int | None) -> None:
        self.unit = unit
        self.key = key
        self.limit = limit
        self._numbers = count()
        self.unused: list[int] = []
        """Numbers whose calls were refused: they are given again, so that the settled numbers have no gaps."""

    def number(self) -> int:
        try:
            return self.unused.pop()
        except IndexError:
            return next(self._numbers)


class RunBudget:
    """The limits of one run. `strict` reserves the worst case of each call; a call always counts as one."""

    def __init__(
        self,
        run: str,
        limits: Mapping[str, int],
        ledger: RunLedger,
        lease: float,
        *,
        strict: bool,
        schedule: WindowSchedule | None = None,
    ) -> None:
        self.ledger = ledger
        self._strict = strict
        self._lease = lease
        # what it has spent is kept without a limit as well
        units = [unit for unit in UNITS if unit in limits or unit == "usd"]
        self._limits = {(f"{TAG}{run}" if schedule else f"{RUN}{unit}:{run}", unit): limits.get(unit) for unit in units}
        self._schedule = schedule or NEVER
        self._new_owner()

    def _new_owner(self) -> None:
        """Begin the ids of this process: those of its parent are the parent's."""
        self._pid = processes.pid
        self._owner = uuid4().hex[:16]
        self._lines = [_Line(*names, limit) for names, limit in self._limits.items()]
        if self.ledger.ended is not None:
            for key, _ in self._limits:
                gone = RunOwner(self._pid, key, self._owner)
                finalize(self, self.ledger.ended.append, gone).atexit = False

    def admit(self, worst: Amounts, at: datetime, *, limited: bool) -> Sequence[Entry] | RunRefusal:
        """Reserve what a call may come to in every unit: return the entries to settle, or the refusal.

        Without `limited`, every call is admitted.

        Raises `LedgerError`, with nothing reserved.
        """
        if self._pid != processes.pid:
            self._new_owner()
        window = self._schedule.window(at)
        entries: list[Entry] = []
        for line in self._lines:
            amount = getattr(worst, line.unit) if self._strict or line.unit == "calls" else 0
            limit = line.limit if limited else None
            entry = Entry(line.key, CallId(self._owner, line.number()), min(amount, MOST), at)
            try:
                standing = self.ledger.reserve(line.key, window, entry.amount, limit, entry.id, at, self._lease)
            except LedgerError:
                self.settle([*entries, entry], NONE)
                raise
            if not standing.admitted:
                line.unused.append(entry.id.number)
                self.settle(entries, NONE)
                return RunRefusal(line.unit, standing.spent, standing.reserved, line.limit or 0)
            entries.append(entry)
        return entries

    def unreserved(self, at: datetime) -> Sequence[Entry]:
        """Return entries for a call that the ledger was not asked for: they are booked when it is back."""
        if self._pid != processes.pid:
            self._new_owner()
        return [Entry(line.key, CallId(self._owner, line.number()), 0, at) for line in self._lines]

    def reserved(self, entries: Sequence[Entry]) -> Amounts:
        """Return what entries have reserved."""
        held = {line.unit: entry.amount for entry, line in zip(entries, self._lines, strict=False)}
        return Amounts(*(held.get(unit, 0) for unit in UNITS))

    def settle(self, entries: Sequence[Entry], used: Amounts, basis: Basis = Basis.KNOWN) -> None:
        """Book what a call came to, and release what was reserved for it. `NONE` releases alone."""
        for entry, line in zip(entries, self._lines, strict=False):
            self.ledger.settle(entry._replace(amount=min(getattr(used, line.unit), MOST), basis=basis))

    def defer(self, entries: Sequence[Entry], used: Amounts, answer: CallId) -> Sequence[PendingShare]:
        """Book what a call's answer may come to as pending, until it is settled; the call itself counts now.

        Raises `LedgerError`.
        """
        shares = []
        for entry, line in zip(entries, self._lines, strict=False):
            amount = min(getattr(used, line.unit), MOST)
            if line.unit == "calls":
                self.ledger.settle(entry._replace(amount=amount))
                continue
            self.ledger.defer(Entry(line.key, entry.id, amount, entry.admitted, Basis.PENDING), answer)
            shares.append(PendingShare(line.key, line.unit, amount))
        return shares

    def balances(self) -> Mapping[str, Balance]:
        """Read what is spent and reserved, by unit, of a run without windows. Raises `LedgerError`."""
        return {line.unit: self.ledger.balance(line.key, ALWAYS) for line in self._lines}
