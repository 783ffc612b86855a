"""What an operator does to the SQLite ledger, inside a transaction: resets, releases of worst cases, pruning."""

from __future__ import annotations

import sqlite3

from llmmetrics.budgets.ledgers import sqlite_rows as rows
from llmmetrics.budgets.ledgers.base import QUARTER_HOUR, Basis, bounds
from llmmetrics.settings.windows import Window

_NOTHING = "spent = 0, estimated = 0, worst_case = 0, pending = 0"
_BOOKED = "WHERE key = ? AND basis = ? AND at >= ? AND at < ?"


def reset(db: sqlite3.Cursor, key: str, window: Window, at: int, by: str) -> int:
    """Take off what a window has spent."""
    start, end = bounds(window)
    amount = rows.opened(db, key, window).spent
    db.execute(
        f"UPDATE window_sums SET {_NOTHING}, generation = generation + 1, bookings = 0 "
        'WHERE key = ? AND "end" = ? AND start = ?',
        (key, end, start),
    )
    # a window of other settings that is opened later does not bring it back, nor does a settle take it off
    db.execute(f"UPDATE quarter_hours SET {_NOTHING} WHERE key = ? AND start >= ? AND start < ?", (key, start, end))
    db.execute(f"DELETE FROM reservations {_BOOKED}", (key, Basis.WORST_CASE.value, start, end))
    db.execute(f"UPDATE reservations SET amount = 0 {_BOOKED}", (key, Basis.PENDING.value, start, end))
    db.execute("INSERT INTO corrections VALUES ('reset', ?, ?, ?, ?)", (key, at, by, amount))
    return amount


def release(db: sqlite3.Cursor, key: str, window: Window, at: int, by: str) -> int:
    """Take off what a window has booked as worst case."""
    start, end = bounds(window)
    rows.opened(db, key, window)
    _, amount, _ = db.execute(rows.PARTS, (key, end, start)).fetchone()
    worst = db.execute(
        "SELECT start, worst_case FROM quarter_hours WHERE key = ? AND start >= ? AND start < ? AND worst_case > 0",
        (key, start, end),
    ).fetchall()
    for quarter, part in worst:
        rows.add(db, key, quarter, -part, (0, -part, 0), 0, 0)
    # what was booked in quarters of an hour that were pruned
    db.execute(
        'UPDATE window_sums SET spent = spent - worst_case, worst_case = 0 WHERE key = ? AND "end" = ? AND start = ?',
        (key, end, start),
    )
    db.execute(f"DELETE FROM reservations {_BOOKED}", (key, Basis.WORST_CASE.value, start, end))
    db.execute("INSERT INTO corrections VALUES ('release', ?, ?, ?, ?)", (key, at, by, amount))
    return int(amount)


def prune(db: sqlite3.Cursor, prefix: str, at: int) -> int:
    """Delete what the keys with this prefix have from before a moment; return how many windows."""
    ours = "substr(key, 1, length(?)) = ?"
    pruned = db.execute(f'DELETE FROM window_sums WHERE {ours} AND "end" <= ?', (prefix, prefix, at)).rowcount
    for statement, value in (
        (f"DELETE FROM quarter_hours WHERE {ours} AND start <= ?", at - QUARTER_HOUR),
        (f"DELETE FROM reservations WHERE {ours} AND basis IS NOT NULL AND at < ?", at),
        (f"DELETE FROM settled_ranges WHERE ({ours} OR key = '') AND at < ?", at),
        (f"DELETE FROM answers WHERE {ours} AND at < ?", at),
        (f'DELETE FROM alerts WHERE {ours} AND "end" <= ?', at),
        (f"DELETE FROM corrections WHERE {ours} AND at < ?", at),
    ):
        db.execute(statement, (prefix, prefix, value))
    return pruned
