"""The ledger of one machine: an SQLite file that any number of processes share, and that survives `kill -9`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from llmmetrics.budgets.ledgers import sqlite_corrections as corrections
from llmmetrics.budgets.ledgers import sqlite_notes as notes
from llmmetrics.budgets.ledgers import sqlite_rows as rows
from llmmetrics.budgets.ledgers.base import (
    ANSWER,
    MOST,
    Balance,
    Basis,
    Booked,
    CallId,
    Correction,
    Pending,
    Standing,
    TagSum,
    WindowRow,
    bounds,
    milliseconds,
    moment,
    new_tuple,
)
from llmmetrics.budgets.ledgers.sqlite_file import SqliteFile, look
from llmmetrics.settings.windows import Window
from llmmetrics.system.boot import BOOT

__all__ = ["SqliteLedger", "look"]

_LOOK = 1.0
"""Seconds after which this process looks for leases of others that have ended, if it knows of none before."""


class SqliteLedger:
    """See `Ledger`. `durability` is `normal` (a power cut may lose the last bookings, nothing else can) or `full`."""

    reach = "this machine only"
    local = True

    def __init__(self, path: Path, namespace: str, durability: str) -> None:
        # what every key in the file begins with
        self._prefix = f"{namespace}\x1f"
        self._file = SqliteFile(path, durability)
        self.name = self._file.name
        self._due: dict[str, float] = {}
        """The uptime at which leases are looked at next, by key: no lease ends before it, as far as is known."""
        self._adopted = False

    @property
    def blocking(self) -> bool:
        """Whether another thread or process is just writing."""
        return self._file.blocking

    # a call

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
        key, moment, amount = self._prefix + key, milliseconds(at), min(amount, MOST + 1)
        start, end = bounds(window)

        def see(db: sqlite3.Cursor) -> Standing | None:
            """What a call that holds nothing needs to know, if nothing is to be written."""
            row = db.execute(rows.WINDOW, (key, end, start)).fetchone()
            if row is None or row[4] != limit or self._is_due(db, key, uptime):
                return None
            spent, reserved, generation, bookings, _ = row
            fits = limit is None or (spent < limit and spent + reserved <= limit)
            return new_tuple(Standing, (fits, spent, reserved, 0, generation, bookings))

        def write(db: sqlite3.Cursor) -> Standing:
            expired = self._expire(db, key, uptime)
            spent, reserved, generation, bookings, before = rows.opened(db, key, window)
            if before != limit:
                db.execute(
                    'UPDATE window_sums SET "limit" = ? WHERE key = ? AND "end" = ? AND start = ?',
                    (limit, key, end, start),
                )
            admitted = limit is None or (spent < limit and spent + reserved + amount <= limit)
            known = False
            if admitted and amount and rows.reserve(db, key, id, amount, moment, BOOT, uptime + lease, lease):
                self._due[key] = min(self._due[key], uptime + lease)
                reserved += amount
            elif amount:
                known = rows.row_of(db, key, id) is not None
            return new_tuple(Standing, (admitted or known, spent, reserved, expired, generation, bookings))

        return (None if amount else self._file.read(see)) or self._file.write(write)

    def renew(self, key: str, id: CallId, amount: int, at: datetime, uptime: float, lease: float) -> None:
        key, moment = self._prefix + key, milliseconds(at)

        def write(db: sqlite3.Cursor) -> None:
            if rows.is_settled(db, key, id):
                return
            row = rows.take_row(db, key, id)
            if row is not None:
                rows.replace(db, key, moment, row, 0, None)
            rows.hold(db, key, id, min(amount, MOST), moment, BOOT, uptime + lease, lease)

        self._file.write(write)

    def settle(self, key: str, id: CallId, amount: int, basis: Basis, at: datetime, window: Window) -> Booked:
        key, moment = self._prefix + key, milliseconds(at)

        def write(db: sqlite3.Cursor) -> Booked:
            first, replaced = self._settle(db, key, id, amount, basis, moment)
            # a window that is opened after it holds it
            sums = rows.opened(db, key, window, int(first and not replaced and amount > 0))
            return _booked(sums, first, replaced)

        return self._file.write(write)

    def _settle(
        self, db: sqlite3.Cursor, key: str, id: CallId, amount: int, basis: Basis, at: int
    ) -> tuple[bool, bool]:
        if not rows.settle(db, key, id, at):
            return False, False
        row = rows.take_row(db, key, id)
        rows.replace(db, key, at, row, min(amount, MOST), basis)
        if id.owner.startswith(ANSWER):
            db.execute("DELETE FROM answers WHERE namespace = ? AND owner = ?", (self._prefix, id.owner))
        return True, row is not None and row.basis is not None

    # answers that come later

    def defer(
        self, key: str, id: CallId | None, amount: int, at: datetime, window: Window, answer: CallId, note: str | None
    ) -> Booked:
        key, moment, amount = self._prefix + key, milliseconds(at), min(amount, MOST)

        def write(db: sqlite3.Cursor) -> Booked:
            rows.opened(db, key, window)
            first = rows.row_of(db, key, answer) is None and not rows.is_settled(db, key, answer)
            if first:
                db.execute(
                    "INSERT INTO reservations VALUES (?, ?, ?, ?, ?, ?, '', 0, 0)",
                    (key, *answer, amount, moment, Basis.PENDING.value),
                )
                rows.replace(db, key, moment, None, amount, Basis.PENDING)
                if note is not None:
                    row = (self._prefix, answer.owner, key, amount, moment, note)
                    db.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?)", row)
            if id is not None:
                self._settle(db, key, id, 0, Basis.KNOWN, moment)
            return _booked(rows.opened(db, key, window), first, replaced=False)

        return self._file.write(write)

    def pending(self, answer: CallId) -> Pending | None:
        row = self._file.read(lambda db: notes.pending(db, self._prefix, answer.owner))
        return row and row._replace(key=row.key.removeprefix(self._prefix))

    def pending_counts(self) -> Mapping[str, int]:
        counted = self._file.read(lambda db: notes.pending_counts(db, self._prefix))
        return {key.removeprefix(self._prefix): count for key, count in counted.items()}

    def advance(self, mark: str, to: int) -> int:
        return self._file.write(lambda db: notes.advance(db, self._prefix + mark, to))

    def claim_alert(self, key: str, window: Window, share: str) -> bool:
        key, (start, end) = self._prefix + key, bounds(window)

        def write(db: sqlite3.Cursor) -> bool:
            row = (key, end, start, rows.opened(db, key, window).generation, share)
            return db.execute("INSERT OR IGNORE INTO alerts VALUES (?, ?, ?, ?, ?)", row).rowcount == 1

        return self._file.write(write)

    # what stands in it

    def balance(self, key: str, window: Window, uptime: float) -> Balance:
        key, (start, end) = self._prefix + key, bounds(window)

        def of(db: sqlite3.Cursor, sums: rows.Sums, expired: int) -> Balance:
            estimated, worst, pending = db.execute(rows.PARTS, (key, end, start)).fetchone()
            parts = (sums.spent, sums.reserved, estimated, worst, pending)
            return Balance(*parts, expired, sums.generation, sums.bookings)

        def see(db: sqlite3.Cursor) -> Balance | None:
            row = db.execute(rows.WINDOW, (key, end, start)).fetchone()
            return None if row is None or self._is_due(db, key, uptime) else of(db, rows.Sums(*row), 0)

        def write(db: sqlite3.Cursor) -> Balance:
            expired = self._expire(db, key, uptime)
            return of(db, rows.opened(db, key, window), expired)

        return self._file.read(see) or self._file.write(write)

    def history(self, key: str | None = None) -> Sequence[WindowRow]:
        records = self._rows(
            'SELECT key, start, "end", spent, "limit" FROM window_sums', 'start DESC, "end" DESC, key DESC', key
        )
        return [
            WindowRow(name, Window(moment(start), moment(end)), spent, limit)
            for name, start, end, spent, limit in records
        ]

    def corrections(self, key: str | None = None) -> Sequence[Correction]:
        records = self._rows("SELECT key, kind, at, by, amount FROM corrections", "rowid DESC", key)
        return [Correction(kind, name, moment(at), by, amount) for name, kind, at, by, amount in records]

    def _rows(self, select: str, order: str, key: str | None) -> Iterator[Any]:
        """Read the rows of this namespace, or of one key in it."""
        whose = self._prefix + (key or "")
        of = "key = ?" if key else "substr(key, 1, length(?)) = ?"
        selected = self._file.read(
            lambda db: db.execute(f"{select} WHERE {of} ORDER BY {order}", (whose,) * of.count("?")).fetchall()
        )
        return ((name.removeprefix(self._prefix), *rest) for name, *rest in selected)

    # an operator's

    def reset(self, key: str, window: Window, now: datetime, by: str) -> int:
        row = (self._prefix + key, window, milliseconds(now), by)
        return self._file.write(lambda db: corrections.reset(db, *row))

    def release(self, key: str, window: Window, now: datetime, by: str) -> int:
        row = (self._prefix + key, window, milliseconds(now), by)
        return self._file.write(lambda db: corrections.release(db, *row))

    def prune(self, before: datetime) -> int:
        return self._file.write(lambda db: corrections.prune(db, self._prefix, milliseconds(before)))

    def retire(self, key: str, owner: str) -> None:
        row = (self._prefix + key, owner)
        self._file.write(lambda db: db.execute("DELETE FROM settled_ranges WHERE key = ? AND owner = ?", row))

    def marks(self, prefix: str) -> Mapping[str, int]:
        marks = self._file.read(lambda db: notes.marks(db, self._prefix + prefix))
        return {mark.removeprefix(self._prefix): to for mark, to in marks.items()}

    def forget(self, name: str) -> None:
        key = self._prefix + name

        def write(db: sqlite3.Cursor) -> None:
            for table in ("window_sums", "quarter_hours", "reservations", "settled_ranges", "alerts", "corrections"):
                db.execute(f"DELETE FROM {table} WHERE key = ?", (key,))
            db.execute("DELETE FROM marks WHERE mark = ?", (key,))

        self._file.write(write)
        self._due.pop(key, None)

    def tally(self, id: CallId, sums: Sequence[TagSum]) -> None:
        self._file.write(lambda db: notes.tally(db, self._prefix, id, sums))

    def tallies(self, tag: str, first: int, last: int) -> Mapping[str, int]:
        return self._file.read(lambda db: notes.tallies(db, self._prefix, tag, first, last))

    def look_again(self) -> None:
        """Do nothing: each question looks whether the file is still the same."""

    def close(self) -> None:
        self._file.close()

    # leases

    def _is_due(self, db: sqlite3.Cursor, key: str, uptime: float) -> bool:
        """Check whether a lease has ended, or reservations of an earlier boot are to be looked at."""
        if not self._adopted:
            if rows.has_foreign(db, self._prefix, BOOT, uptime):
                return True
            self._adopted = True
        due = self._due.get(key, 0.0)
        # a clock that has gone back is looked at again
        if due - _LOOK <= uptime < due:
            return False
        return self._look(db, key, uptime) <= uptime

    def _look(self, db: sqlite3.Cursor, key: str, uptime: float) -> float:
        """Return when the next lease ends; look again then, or soon."""
        row = db.execute(rows.DUE, (key,)).fetchone()
        ends = float("inf") if row is None else row[0]
        self._due[key] = min(ends, uptime + _LOOK)
        return float(ends)

    def _expire(self, db: sqlite3.Cursor, key: str, uptime: float) -> int:
        if not self._is_due(db, key, uptime):
            return 0
        if not self._adopted:
            rows.adopt(db, self._prefix, BOOT, uptime)
            self._adopted = True
        expired = rows.expire(db, key, uptime)
        self._look(db, key, uptime)
        return expired


def _booked(sums: rows.Sums, first: bool, replaced: bool) -> Booked:
    spent, _, generation, bookings, _ = sums
    return new_tuple(Booked, (spent, generation, bookings, first, replaced))
