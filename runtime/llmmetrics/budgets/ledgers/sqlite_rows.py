"""What the SQLite ledger does inside a transaction: sums, reservations, leases that end, settled numbers."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from llmmetrics.budgets.ledgers.base import AT_ONCE, MOST, V1, Basis, CallId, bounds, new_tuple, quarter_hour
from llmmetrics.settings.windows import Window


class Sums(NamedTuple):
    """A row of a window."""

    spent: int
    reserved: int
    generation: int
    bookings: int
    limit: int | None


class Held(NamedTuple):
    """What is held for a call; `basis` is None while it is reserved, else what it is booked as."""

    amount: int
    at: int
    basis: str | None


WINDOW = (
    'SELECT spent, reserved, generation, bookings, "limit" FROM window_sums WHERE key = ? AND "end" = ? AND start = ?'
)
PARTS = 'SELECT estimated, worst_case, pending FROM window_sums WHERE key = ? AND "end" = ? AND start = ?'
DUE = "SELECT ends FROM reservations WHERE key = ? AND basis IS NULL ORDER BY ends LIMIT 1"
_WINDOWS_OF = 'WHERE key = ? AND "end" > ? AND start <= ?'


def _sum(column: str) -> str:
    # past 64 bits, SQLite's sum is a float, and the smaller of both is MOST
    return f"{column} = max(min({column} + ?, {MOST}), 0)"


_ADD = (
    f"UPDATE window_sums SET {', '.join(map(_sum, ('spent', 'estimated', 'worst_case', 'pending', 'reserved')))}, "
    f"bookings = bookings + ? {_WINDOWS_OF}"
)
_ADD_KNOWN = f"UPDATE window_sums SET {_sum('spent')}, {_sum('reserved')}, bookings = bookings + ? {_WINDOWS_OF}"
_RESERVE = f"UPDATE window_sums SET {_sum('reserved')} {_WINDOWS_OF}"
_ADD_QUARTER_HOUR = (
    f"UPDATE quarter_hours SET {', '.join(map(_sum, ('spent', 'estimated', 'worst_case', 'pending')))} "
    "WHERE key = ? AND start = ?"
)
_ADD_KNOWN_QUARTER_HOUR = f"UPDATE quarter_hours SET {_sum('spent')} WHERE key = ? AND start = ?"
_NEW_QUARTER_HOUR = "INSERT INTO quarter_hours VALUES (?, ?, max(?, 0), max(?, 0), max(?, 0), max(?, 0))"
_PARTS: Mapping[str | None, Callable[[int], tuple[int, int, int]]] = {
    Basis.ESTIMATED.value: lambda amount: (amount, 0, 0),
    Basis.WORST_CASE.value: lambda amount: (0, amount, 0),
    Basis.PENDING.value: lambda amount: (0, 0, amount),
}
_NONE = (0, 0, 0)


def opened(db: sqlite3.Cursor, key: str, window: Window, bookings: int = 0) -> Sums:
    """Return a window's row. One that is new starts from what was spent in it, in so many calls that are known."""
    start, end = bounds(window)
    row: Any = db.execute(WINDOW, (key, end, start)).fetchone()
    if row is None:
        # a sum that might pass 64 bits is an error of SQLite; total() is a float, and cannot
        exact = ", ".join(
            f"CASE WHEN total({column}) > 9.1e18 THEN {MOST} ELSE min(coalesce(sum({column}), 0), {MOST}) END"
            for column in ("spent", "estimated", "worst_case", "pending")
        )
        parts = db.execute(
            f"SELECT {exact} FROM quarter_hours WHERE key = ? AND start >= ? AND start < ?",
            (key, start, end),
        ).fetchone()
        (reserved,) = db.execute(
            "SELECT coalesce(sum(amount), 0) FROM reservations WHERE key = ? AND basis IS NULL AND at >= ? AND at < ?",
            (key, start, end),
        ).fetchone()
        db.execute(
            'INSERT INTO window_sums (key, "end", start, spent, estimated, worst_case, pending, reserved, bookings) '
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (key, end, start, *parts, reserved, bookings),
        )
        return Sums(parts[0], reserved, 0, bookings, None)
    return new_tuple(Sums, row)


def add(
    db: sqlite3.Cursor,
    key: str,
    at: int,
    spent: int,
    parts: tuple[int, int, int],
    reserved: int,
    bookings: int,
) -> None:
    """Add to the sums of a moment: of its quarter of an hour, and of every window that holds it."""
    quarter = quarter_hour(at)
    if parts != _NONE:
        db.execute(_ADD, (spent, *parts, reserved, bookings, key, at, at))
        if db.execute(_ADD_QUARTER_HOUR, (spent, *parts, key, quarter)).rowcount:
            return
    else:
        db.execute(_ADD_KNOWN, (spent, reserved, bookings, key, at, at))
        if not spent or db.execute(_ADD_KNOWN_QUARTER_HOUR, (spent, key, quarter)).rowcount:
            return
    db.execute(_NEW_QUARTER_HOUR, (key, quarter, spent, *parts))


def parts_of(amount: int, basis: str | None) -> tuple[int, int, int]:
    """Return an amount as what is estimated, worst case and pending of it."""
    parts = _PARTS.get(basis)
    return _NONE if parts is None else parts(amount)


_HOLD = """INSERT OR IGNORE INTO reservations SELECT ?, ?, ?, ?, ?, NULL, ?, ?, ?
  WHERE NOT EXISTS (SELECT 1 FROM (SELECT last FROM settled_ranges WHERE key = ? AND owner = ? AND first <= ?
    ORDER BY first DESC LIMIT 1) WHERE last >= ?)"""


def reserve(
    db: sqlite3.Cursor, key: str, id: CallId, amount: int, at: int, boot: str, ends: float, lease: float
) -> bool:
    """Reserve an amount, unless the call has a row or was settled; return whether it was done."""
    row = (key, *id, amount, at, boot, ends, lease, key, *id, id.number)
    if not db.execute(_HOLD, row).rowcount:
        return False
    db.execute(_RESERVE, (amount, key, at, at))
    return True


def hold(db: sqlite3.Cursor, key: str, id: CallId, amount: int, at: int, boot: str, ends: float, lease: float) -> None:
    """Reserve an amount."""
    db.execute(
        "INSERT INTO reservations VALUES (?, ?, ?, ?, ?, NULL, ?, ?, ?)", (key, *id, amount, at, boot, ends, lease)
    )
    db.execute(_RESERVE, (amount, key, at, at))


def row_of(db: sqlite3.Cursor, key: str, id: CallId) -> Held | None:
    """Return what is held for a call."""
    row = db.execute(
        "SELECT amount, at, basis FROM reservations WHERE key = ? AND owner = ? AND number = ?", (key, *id)
    ).fetchone()
    return row and new_tuple(Held, row)


def take_row(db: sqlite3.Cursor, key: str, id: CallId) -> Held | None:
    """Delete a row and return it; its sums are the caller's."""
    row = row_of(db, key, id)
    if row is not None:
        db.execute("DELETE FROM reservations WHERE key = ? AND owner = ? AND number = ?", (key, *id))
    return row


def replace(db: sqlite3.Cursor, key: str, at: int, row: Held | None, amount: int, basis: str | None) -> None:
    """Book an amount in place of a row; a `basis` of None reserves it."""
    parts = parts_of(amount, basis)
    spent, reserved = (0, amount) if basis is None else (amount, 0)
    if row is not None:
        at = row.at
        if row.basis is None:
            reserved -= row.amount
        else:
            spent -= row.amount
            first, second, third = (new - old for new, old in zip(parts, parts_of(row.amount, row.basis), strict=True))
            parts = first, second, third
    counts = basis is not None and amount > 0 and (row is None or row.basis is None)
    if spent or reserved or parts != _NONE:
        add(db, key, at, spent, parts, reserved, int(counts))


_FOREIGN = "basis IS NULL AND (boot <> ? OR ends > ? + lease) AND substr(key, 1, length(?)) = ?"


def has_foreign(db: sqlite3.Cursor, prefix: str, boot: str, uptime: float) -> bool:
    """Check whether there are reservations of an earlier start of this machine."""
    row = (boot, uptime, prefix, prefix)
    return db.execute(f"SELECT 1 FROM reservations WHERE {_FOREIGN} LIMIT 1", row).fetchone() is not None


def adopt(db: sqlite3.Cursor, prefix: str, boot: str, uptime: float) -> None:
    """Give the reservations of an earlier start of this machine a whole lease."""
    row = (boot, uptime, boot, uptime, prefix, prefix)
    db.execute(f"UPDATE reservations SET boot = ?, ends = ? + lease WHERE {_FOREIGN}", row)


def expire(db: sqlite3.Cursor, key: str, uptime: float) -> int:
    """Book the leases that have ended as worst case, and count them. Their rows stay for a later settle."""
    ended = db.execute(
        "SELECT owner, number, amount, at FROM reservations WHERE key = ? AND basis IS NULL AND ends <= ? "
        "ORDER BY ends LIMIT ?",
        (key, uptime, AT_ONCE),
    ).fetchall()
    for owner, number, amount, at in ended:
        db.execute(
            "UPDATE reservations SET basis = ? WHERE key = ? AND owner = ? AND number = ?",
            (Basis.WORST_CASE.value, key, owner, number),
        )
        replace(db, key, at, Held(amount, at, None), amount, Basis.WORST_CASE)
    return len(ended)


# no ?1: Python 3.12.0 to 3.12.3 warn of it
_NEXT = """UPDATE settled_ranges SET last = ?, at = max(at, ?) WHERE key = ? AND owner = ? AND last = ?
  AND first = (SELECT max(first) FROM settled_ranges WHERE key = ? AND owner = ? AND first <= ?)"""
_RANGES = (
    "SELECT first, last FROM settled_ranges WHERE key = ? AND owner = ? AND first <= ? ORDER BY first DESC LIMIT 2"
)
_SETTLED = "SELECT last FROM settled_ranges WHERE key = ? AND owner = ? AND first <= ? ORDER BY first DESC LIMIT 1"
_WIDEN = "UPDATE settled_ranges SET last = ?, at = max(at, ?) WHERE key = ? AND owner = ? AND first = ?"
_DROP = "DELETE FROM settled_ranges WHERE key = ? AND owner = ? AND first = ?"


def is_settled(db: sqlite3.Cursor, key: str, id: CallId) -> bool:
    """Check whether an id was settled."""
    # an id of schema 1 is unique for all keys
    for where in (key, "") if id.owner.startswith(V1) else (key,):
        row = db.execute(_SETTLED, (where, *id)).fetchone()
        if row is not None and row[0] >= id.number:
            return True
    return False


def settle(db: sqlite3.Cursor, key: str, id: CallId, at: int) -> bool:
    """Note that an id is settled; return whether it was not before."""
    owner, number = id
    # calls mostly end in the order in which they began
    if db.execute(_NEXT, (number, at, key, owner, number - 1, key, owner, number + 1)).rowcount:
        return True
    ranges = db.execute(_RANGES, (key, owner, number + 1)).fetchall()
    after = ranges.pop(0) if ranges and ranges[0][0] == number + 1 else None
    before = ranges[0] if ranges else None
    if before is not None and before[1] >= number:
        return False
    if owner.startswith(V1) and is_settled(db, key, id):
        return False
    last = number
    if after is not None:
        last = after[1]
        db.execute(_DROP, (key, owner, number + 1))
    if before is not None and before[1] == number - 1:
        db.execute(_WIDEN, (last, at, key, owner, before[0]))
    else:
        db.execute("INSERT INTO settled_ranges VALUES (?, ?, ?, ?, ?)", (key, owner, number, last, at))
    return True
