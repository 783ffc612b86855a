"""The ledger of one process: dictionaries and a lock. For tests, and where losing the spend at the end is fine."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from threading import RLock

from llmmetrics.budgets.ledgers.base import (
    MOST,
    TALLY,
    Balance,
    Basis,
    Booked,
    CallId,
    Correction,
    Pending,
    Standing,
    TagSum,
    WindowRow,
    new_tuple,
)
from llmmetrics.budgets.ledgers.memory_key import QUARTER, MemoryKey, MemoryRow
from llmmetrics.settings.windows import LAST, Window
from llmmetrics.system import processes


class MemoryLedger:
    """See `Ledger`."""

    name = "memory://"
    reach = "this process only"
    local = True
    blocking = False

    def __init__(self) -> None:
        self._keys: dict[str, MemoryKey] = defaultdict(MemoryKey)
        self._answers: dict[CallId, Pending] = {}
        self._marks: dict[str, int] = {}
        self._tags: Counter[tuple[str, str, int]] = Counter()
        self._alerts: set[tuple[str, Window, int, str]] = set()
        self._corrections: list[Correction] = []
        self._lock = RLock()
        processes.on_fork(self._forked)

    def reserve(
        self,
        key: str,
        window: Window,
        amount: int,
        limit: int | None,
        id: CallId,
        at: datetime,
        uptime: float,
        lease: float,
    ) -> Standing:
        with self._lock:
            own = self._keys[key]
            expired = own.expire(uptime) if own.leases else 0
            sums = own.window(window)
            sums.limit, spent, reserved = limit, sums.spent, sums.reserved
            fits = limit is None or (spent < limit and spent + reserved + amount <= limit)
            if amount:
                known = id in own.rows
                if fits and not known and not own.is_settled(id):
                    own.hold(id, min(amount, MOST), at, uptime + lease)
                fits, reserved = fits or known, sums.reserved
            return new_tuple(Standing, (fits, spent, reserved, expired, sums.generation, sums.bookings))

    def standing(self, key: str, window: Window, limit: int | None) -> Standing:
        """Say how a window stands for a call of which nothing is reserved, and whose cost `book` adds."""
        with self._lock:
            own = self._keys[key]
            sums = own.window(window)
            sums.limit, spent = limit, sums.spent
            fits = limit is None or (spent < limit and spent + sums.reserved <= limit)
            return new_tuple(Standing, (fits, spent, sums.reserved, 0, sums.generation, sums.bookings))

    def book(self, key: str, amount: int, basis: Basis, at: datetime) -> None:
        """Book the cost of a call that was asked for with `standing`: told only once, it needs no id."""
        with self._lock:
            self._keys[key].book(at, amount, basis)

    def renew(self, key: str, id: CallId, amount: int, at: datetime, uptime: float, lease: float) -> None:
        with self._lock:
            own = self._keys[key]
            if not own.is_settled(id):
                own.let_go(id)
                own.hold(id, min(amount, MOST), at, uptime + lease)

    def settle(self, key: str, id: CallId, amount: int, basis: Basis, at: datetime, window: Window) -> Booked:
        with self._lock:
            own = self._keys[key]
            sums = own.window(window)
            first, replaced = own.settle(id, at), False
            if first:
                row = own.let_go(id) if own.rows else None
                replaced = row is not None and row.basis is not None
                if amount:
                    own.book(at if row is None else row.at, min(amount, MOST), basis, 0 if replaced else 1)
                if self._answers:
                    self._answers.pop(id, None)
            return new_tuple(Booked, (sums.spent, sums.generation, sums.bookings, first, replaced))

    def defer(
        self, key: str, id: CallId | None, amount: int, at: datetime, window: Window, answer: CallId, note: str | None
    ) -> Booked:
        with self._lock:
            own = self._keys[key]
            first = answer not in own.rows and not own.is_settled(answer)
            if first:
                amount = min(amount, MOST)
                own.window(window)
                own.book(at, amount, Basis.PENDING)
                own.rows[answer] = MemoryRow(amount, at, 0, Basis.PENDING)
                if note is not None:
                    self._answers[answer] = Pending(key, amount, at, note)
            if id is not None:
                self.settle(key, id, 0, Basis.KNOWN, at, window)
            sums = own.window(window)
            return Booked(sums.spent, sums.generation, sums.bookings, first, replaced=False)

    def pending(self, answer: CallId) -> Pending | None:
        with self._lock:
            return self._answers.get(answer)

    def pending_counts(self) -> Mapping[str, int]:
        with self._lock:
            return Counter(each.key for each in self._answers.values())

    def advance(self, mark: str, to: int) -> int:
        with self._lock:
            before = self._marks.get(mark, 0)
            if to > before:
                self._marks[mark] = to
            return before

    def claim_alert(self, key: str, window: Window, share: str) -> bool:
        with self._lock:
            alert = (key, window, self._keys[key].window(window).generation, share)
            if alert in self._alerts:
                return False
            self._alerts.add(alert)
            return True

    def balance(self, key: str, window: Window, uptime: float) -> Balance:
        with self._lock:
            own = self._keys[key]
            expired, sums = own.expire(uptime), own.window(window)
            parts = (sums.estimated, sums.worst_case, sums.pending)
            return Balance(sums.spent, sums.reserved, *parts, expired, sums.generation, sums.bookings)

    def history(self, key: str | None = None) -> Sequence[WindowRow]:
        with self._lock:
            rows = [
                WindowRow(name, window, sums.spent, sums.limit)
                for name, own in self._keys.items()
                for window, sums in own.windows.items()
                if key in (None, name)
            ]
        return sorted(rows, key=lambda row: (row.window, row.key), reverse=True)

    def reset(self, key: str, window: Window, now: datetime, by: str) -> int:
        with self._lock:
            own = self._keys[key]
            sums = own.window(window)
            amount = sums.clear()
            sums.generation += 1
            sums.bookings = 0
            # a window of other settings that is opened later does not bring it back
            for quarter, of_quarter in own.quarters.items():
                if window.holds(quarter):
                    of_quarter.clear()
            for id, row in list(own.rows.items()):
                if row.basis is not None and window.holds(row.at):
                    self._taken_off(own, id, row)
            self._corrections.insert(0, Correction("reset", key, now, by, amount))
            return amount

    def _taken_off(self, own: MemoryKey, id: CallId, row: MemoryRow) -> None:
        """Keep of a booked row what a later settle needs: nothing is left to replace, but a pending answer's moment."""
        if row.basis is Basis.PENDING:
            row.amount = 0
        else:
            del own.rows[id]

    def release(self, key: str, window: Window, now: datetime, by: str) -> int:
        with self._lock:
            own = self._keys[key]
            sums = own.window(window)
            amount = 0
            for quarter, of_quarter in own.quarters.items():
                if window.holds(quarter) and of_quarter.worst_case:
                    part = of_quarter.worst_case
                    for touched in own.touched(quarter):
                        touched.add(-part, Basis.WORST_CASE, 0)
                    amount += part
            # what was booked in quarters of an hour that were pruned
            amount += (rest := sums.worst_case)
            sums.add(-rest, Basis.WORST_CASE, 0)
            for id, row in list(own.rows.items()):
                if row.basis is Basis.WORST_CASE and window.holds(row.at):
                    del own.rows[id]
            self._corrections.insert(0, Correction("release", key, now, by, amount))
            return amount

    def corrections(self, key: str | None = None) -> Sequence[Correction]:
        with self._lock:
            return [each for each in self._corrections if key in (None, each.key)]

    def prune(self, before: datetime) -> int:
        with self._lock:
            pruned = 0
            for own in self._keys.values():
                over = [each for each in own.windows if each.end <= before]
                for window in over:
                    del own.windows[window]
                pruned += len(over)
                own.quarters = {at: sums for at, sums in own.quarters.items() if at + QUARTER > before}
                own.rows = {id: row for id, row in own.rows.items() if row.basis is None or row.at >= before}
                own.settled = {owner: each for owner, each in own.settled.items() if each.at >= before}
                own.quarter = own.last = None
            self._answers = {id: each for id, each in self._answers.items() if each.admitted >= before}
            self._corrections = [each for each in self._corrections if each.at >= before]
            self._alerts = {each for each in self._alerts if each[1].end == LAST or each[1].end > before}
            return pruned

    def retire(self, key: str, owner: str) -> None:
        with self._lock:
            self._keys[key].settled.pop(owner, None)

    def marks(self, prefix: str) -> Mapping[str, int]:
        with self._lock:
            return {mark: to for mark, to in self._marks.items() if mark.startswith(prefix)}

    def forget(self, name: str) -> None:
        with self._lock:
            self._keys.pop(name, None)
            self._marks.pop(name, None)

    def tally(self, id: CallId, sums: Sequence[TagSum]) -> None:
        with self._lock:
            if self._marks.get(f"{TALLY}{id.owner}", 0) < id.number:
                self._marks[f"{TALLY}{id.owner}"] = id.number
                for each in sums:
                    self._tags[each[:3]] += each.amount

    def tallies(self, tag: str, first: int, last: int) -> Mapping[str, int]:
        sums = Counter[str]()
        with self._lock:
            for (name, value, day), amount in self._tags.items():
                if name == tag and first <= day <= last:
                    sums[value] += amount
        return sums

    def look_again(self) -> None:
        """Do nothing: there is one storage alone."""

    def close(self) -> None:
        """Do nothing: there is no file."""

    def _forked(self) -> None:
        self._lock = RLock()
