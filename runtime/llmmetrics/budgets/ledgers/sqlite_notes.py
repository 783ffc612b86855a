"""What the SQLite ledger keeps next to the sums of limits: answers that come later, high-water marks, sums by tag."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from llmmetrics.budgets.ledgers.base import MOST, TALLY, CallId, Pending, TagSum, moment

_LINE = "SELECT line FROM marks WHERE mark = ?"
_MARK = "INSERT OR REPLACE INTO marks VALUES (?, ?)"
_ADD_TAG = f"""INSERT INTO tag_sums VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
  amount = min(amount + excluded.amount, {MOST})"""


def pending(db: sqlite3.Cursor, namespace: str, owner: str) -> Pending | None:
    """Read an answer that was deferred."""
    row = db.execute(
        "SELECT key, amount, at, note FROM answers WHERE namespace = ? AND owner = ?", (namespace, owner)
    ).fetchone()
    if row is None:
        return None
    key, amount, at, note = row
    return Pending(key, amount, moment(at), note)


def pending_counts(db: sqlite3.Cursor, namespace: str) -> Mapping[str, int]:
    """Count the answers that are not settled yet, by key."""
    return dict(
        db.execute("SELECT key, count(*) FROM answers WHERE namespace = ? GROUP BY key", (namespace,)).fetchall()
    )


def advance(db: sqlite3.Cursor, mark: str, to: int) -> int:
    """Raise a high-water mark; return what it was. A mark that stays is not written."""
    row = db.execute(_LINE, (mark,)).fetchone()
    before = row[0] if row else 0
    if to > before:
        db.execute(_MARK, (mark, to))
    return int(before)


def marks(db: sqlite3.Cursor, prefix: str) -> Mapping[str, int]:
    """Read the marks whose names begin with this."""
    return dict(
        db.execute("SELECT mark, line FROM marks WHERE substr(mark, 1, length(?)) = ?", (prefix, prefix)).fetchall()
    )


def tally(db: sqlite3.Cursor, namespace: str, id: CallId, sums: Sequence[TagSum]) -> None:
    """Add sums by tag, once for each id."""
    mark = f"{namespace}{TALLY}{id.owner}"
    row = db.execute(_LINE, (mark,)).fetchone()
    if row and row[0] >= id.number:
        return
    db.execute(_MARK, (mark, id.number))
    db.executemany(_ADD_TAG, [(namespace, each.tag, each.day, each.value, min(each.amount, MOST)) for each in sums])


def tallies(db: sqlite3.Cursor, namespace: str, tag: str, first: int, last: int) -> Mapping[str, int]:
    """Read the sums of a tag by value."""
    return dict(
        db.execute(
            "SELECT value, sum(amount) FROM tag_sums WHERE namespace = ? AND tag = ? AND day BETWEEN ? AND ? "
            "GROUP BY value",
            (namespace, tag, first, last),
        ).fetchall()
    )
