"""A run: what its calls may come to, and what they came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import wraps
from itertools import count
from math import inf
from operator import attrgetter
from typing import Any, Literal, NamedTuple, TypeVar

from llmmetrics.budgets.amounts import usd
from llmmetrics.budgets.journal import Entry
from llmmetrics.budgets.ledgers import Balance, Basis, CallId
from llmmetrics.budgets.run_budget import (
    NONE,
    Amounts,
    MemoryRunLedger,
    PendingShare,
    RunBudget,
    RunLedger,
    RunRefusal,
    SharedRunLedger,
)
from llmmetrics.settings.windows import WindowSchedule
from llmmetrics.system import processes
from llmmetrics.system.process_lock import ProcessLock

F = TypeVar("F", bound=Callable[..., Any])

Mode = Literal["strict", "documented", "shadow"]

_names = count(1)

_adding = ProcessLock()
"""Held while figures are added to a run: one for all runs, as there may be many."""

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


BEGAN = attrgetter("began")


class Hold(NamedTuple):
    """What a run has reserved for a call."""

    run: Run
    entries: Sequence[Entry]


class RunRow(NamedTuple):
    """What a run's calls to one backend and model came to, in this process. Amounts are in USD."""

    backend: str
    model: str
    calls: int
    tokens: int
    known: Decimal
    estimated: Decimal
    worst_case: Decimal
    """Booked at the worst case: the outcome of the call is unknown, or its price."""
    pending: Decimal
    """Of answers that come later."""


@dataclass(frozen=True)
class RunLimits:
    """What a run may spend. `limits` is by unit: pico-dollars, calls, tokens; `ttl` is in seconds."""

    limits: Mapping[str, int]
    mode: Mode = "strict"
    name: str | None = None
    ttl: float = inf
    schedule: WindowSchedule | None = None
    """When it starts again at 0; None: never, as a run does. It is then the limit of a tag, named TAG=VALUE."""


class Run:
    """A run. Its figures may be read at any time, also after its end.

    What a named run has spent is that of all processes. Its calls and tokens are, too, once a limit of them is set;
    else they are those of this process.

    Reading a named run asks its ledger: raises `LedgerError` if that is away, and `ConfigError` if it cannot be opened.
    """

    def __init__(self, limits: RunLimits, attach: Callable[[Run], object] | None = None) -> None:
        self.of = limits
        self._attach = attach
        """Keeps it in the ledger of the only meter, if it is read before its first call."""
        self.name = limits.name or f"run-{next(_names)}"
        self.pinned = False
        """Whether its ledger is not that of the meter that counts a call."""
        self.open = 0
        """How many blocks of it are open."""
        self.began = 0
        """Which of the process' runs it is, in the order in which they began."""
        self._pid = processes.pid
        self._kept_until = _LONG_AGO
        self._budget: RunBudget | None = None
        self._rows: dict[tuple[str, str], Counter[str]] = {}
        if limits.name is None:
            self.keep_in(MemoryRunLedger(), inf)

    # what users read

    @property
    def spent(self) -> Decimal:
        """What its calls cost, in USD: estimates and worst cases are in it."""
        return usd(self._spent("usd"))

    @property
    def remaining(self) -> Decimal | None:
        """What is left of `usd`, without what is reserved for calls in flight; None without such a limit."""
        limit = self.of.limits.get("usd")
        if limit is None:
            return None
        balance = self._balances().get("usd")
        return usd(max(limit - (balance.spent + balance.reserved if balance else 0), 0))

    @property
    def calls(self) -> int:
        """How many calls were sent: attempts on the wire. Without the limit `calls=`, those of this process."""
        return self._spent("calls")

    @property
    def tokens(self) -> int:
        """How many tokens its calls used: prompt and completion. Without the limit `tokens=`, those of this process."""
        return self._spent("tokens")

    def report(self) -> Sequence[RunRow]:
        """Return what its calls came to, by backend and model."""
        return [
            RunRow(*names, row["calls"], row["tokens"], *(usd(row[basis]) for basis in Basis))
            for names, row in sorted(self._rows.items())
        ]

    def bind(self, function: F) -> F:
        """Return a function that runs in this context, in any thread: for `Thread`, executors and callbacks.

        Call it inside the block.
        """
        context = copy_context()

        @wraps(function)
        def bound(*args: Any, **kwargs: Any) -> Any:
            return context.copy().run(function, *args, **kwargs)

        return bound  # type: ignore[return-value]

    # for the engine

    @property
    def named(self) -> bool:
        """Whether it is kept in the meter's ledger, over processes and machines."""
        return self.of.name is not None

    @property
    def reserves(self) -> bool:
        """Whether it reserves the worst case of each call. A named run may have limits in another process."""
        return self.of.mode == "strict" and (self.named or bool(self.of.limits.keys() & {"usd", "tokens"}))

    @property
    def prices(self) -> bool:
        """Whether it refuses a call without a known price."""
        return "usd" in self.of.limits and self.of.mode != "shadow"

    @property
    def inherited(self) -> bool:
        """Whether it belongs to the memory of a parent process."""
        return not self.named and self._pid != processes.pid

    def is_same(self, other: Run) -> bool:
        """Return whether two objects are one run: a name stands for one run."""
        return self is other or (self.named and self.of.name == other.of.name)

    def keep(self, ledger: SharedRunLedger, now: datetime) -> None:
        """Keep a named run for its time to live from now; asks the ledger four times in that time, at most."""
        if now >= self._kept_until - timedelta(seconds=self.of.ttl * 0.75):
            until = now + timedelta(seconds=self.of.ttl)
            ledger.keep(self.name, now, until)
            self._kept_until = until

    def pin(self, ledger: SharedRunLedger, lease: float) -> None:
        """Keep a named run in this ledger, whatever meter counts a call of it."""
        self.keep_in(ledger, lease)
        self.pinned = True

    def keep_in(self, ledger: RunLedger, lease: float) -> None:
        """Set the ledger, unless it has one."""
        if self._budget is None:
            of = self.of
            self._budget = RunBudget(self.name, of.limits, ledger, lease, strict=self.reserves, schedule=of.schedule)

    def admit(self, worst: Amounts, at: datetime) -> Sequence[Entry] | RunRefusal:
        """Reserve what a call may come to: return what to `book` it under, or the refusal. Raises `LedgerError`."""
        return self._kept_in.admit(worst, at, limited=self.of.mode != "shadow")

    def unreserved(self, at: datetime) -> Sequence[Entry]:
        """Return what to `book` a call under that is admitted although the ledger is away."""
        return self._kept_in.unreserved(at)

    def reserved(self, entries: Sequence[Entry]) -> Amounts:
        """Return what is reserved for a call."""
        return self._kept_in.reserved(entries)

    def book(self, entries: Sequence[Entry], names: tuple[str, str], used: Amounts, basis: Basis) -> None:
        """Book what a call to a backend and model came to."""
        self._kept_in.settle(entries, used, basis)
        self._add(names, {"calls": used.calls, "tokens": used.tokens, basis: used.usd})

    def defer(
        self, entries: Sequence[Entry], names: tuple[str, str], used: Amounts, answer: CallId
    ) -> Sequence[PendingShare]:
        """Book a call whose answer comes later, as pending. Raises `LedgerError`, with nothing that `book` misses."""
        shares = self._kept_in.defer(entries, used, answer)
        self._add(names, {"calls": used.calls, "tokens": used.tokens, Basis.PENDING: used.usd})
        return shares

    def release(self, entries: Sequence[Entry]) -> None:
        """Release what was reserved for a call that was not sent."""
        self._kept_in.settle(entries, NONE)

    def replace(self, names: tuple[str, str], before: Amounts, used: Amounts, left: Amounts, basis: Basis) -> None:
        """Report what an answer came to, and what is left pending of it, in place of what was pending before."""
        self._add(names, {"tokens": used.tokens + left.tokens - before.tokens, Basis.PENDING: left.usd - before.usd})
        self._add(names, {basis: used.usd})

    @property
    def ledger(self) -> RunLedger:
        """Where it is kept."""
        return self._kept_in.ledger

    @property
    def _kept_in(self) -> RunBudget:
        assert self._budget is not None, "the engine sets the ledger of a named run"
        return self._budget

    def _add(self, names: tuple[str, str], amounts: Mapping[str, int]) -> None:
        with _adding:
            self._rows.setdefault(names, Counter()).update(amounts)

    def _balances(self) -> Mapping[str, Balance]:
        if self._budget is None and self._attach is not None:
            self._attach(self)
        return self._budget.balances() if self._budget else {}

    def _spent(self, unit: str) -> int:
        if balance := self._balances().get(unit):
            return balance.spent
        return sum(row[unit] for row in list(self._rows.values()))
