"""The tables of the SQLite ledger, and how a file of an older form becomes one of this form."""

from __future__ import annotations

import sqlite3

from llmmetrics.budgets.ledgers.base import MOST, SCHEMA, V1
from llmmetrics.errors import ConfigError

# no name of schema 1 is used again: a process of an older llmmetrics that has the file open fails at its next question
TABLES = (
    """CREATE TABLE window_sums (
  key TEXT, "end" INTEGER, start INTEGER, spent INTEGER NOT NULL DEFAULT 0, estimated INTEGER NOT NULL DEFAULT 0,
  worst_case INTEGER NOT NULL DEFAULT 0, pending INTEGER NOT NULL DEFAULT 0, reserved INTEGER NOT NULL DEFAULT 0,
  bookings INTEGER NOT NULL DEFAULT 0, generation INTEGER NOT NULL DEFAULT 0, "limit" INTEGER,
  PRIMARY KEY (key, "end", start)) WITHOUT ROWID""",
    """CREATE TABLE quarter_hours (
  key TEXT, start INTEGER, spent INTEGER NOT NULL, estimated INTEGER NOT NULL DEFAULT 0,
  worst_case INTEGER NOT NULL DEFAULT 0, pending INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (key, start)) WITHOUT ROWID""",
    """CREATE TABLE reservations (
  key TEXT, owner TEXT, number INTEGER, amount INTEGER NOT NULL, at INTEGER NOT NULL, basis TEXT,
  boot TEXT NOT NULL, ends REAL NOT NULL, lease REAL NOT NULL, PRIMARY KEY (key, owner, number)) WITHOUT ROWID""",
    "CREATE INDEX leases ON reservations (key, ends) WHERE basis IS NULL",
    """CREATE TABLE settled_ranges (
  key TEXT, owner TEXT, first INTEGER, last INTEGER NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (key, owner, first)) WITHOUT ROWID""",
    """CREATE TABLE answers (
  namespace TEXT, owner TEXT, key TEXT, amount INTEGER NOT NULL, at INTEGER NOT NULL, note TEXT,
  PRIMARY KEY (namespace, owner)) WITHOUT ROWID""",
    "CREATE TABLE marks (mark TEXT PRIMARY KEY, line INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE tag_sums (
  namespace TEXT, tag TEXT, day INTEGER, value TEXT, amount INTEGER NOT NULL,
  PRIMARY KEY (namespace, tag, day, value)) WITHOUT ROWID""",
    """CREATE TABLE alerts (
  key TEXT, "end" INTEGER, start INTEGER, generation INTEGER, share TEXT,
  PRIMARY KEY (key, "end", start, generation, share)) WITHOUT ROWID""",
    "CREATE TABLE corrections (kind TEXT, key TEXT, at INTEGER, by TEXT, amount INTEGER)",
)

_FROM_V1 = (
    f"""INSERT INTO window_sums (key, "end", start, spent, bookings, generation, "limit", reserved)
  SELECT backend, "end", start, min(spent * 1000, {MOST}), 1, generation, "limit" * 1000, coalesce((
    SELECT min(sum(amount) * 1000, {MOST}) FROM held
    WHERE held.backend = windows.backend AND admitted >= start AND admitted < "end"), 0) FROM windows""",
    f"""INSERT INTO quarter_hours (key, start, spent)
  SELECT backend, start, min(spent * 1000, {MOST}) FROM quarters""",
    f"""INSERT INTO reservations
  SELECT backend, '{V1}' || id, 0, min(amount * 1000, {MOST}), admitted, NULL, '', 0, 60 FROM held""",
    f"""INSERT INTO settled_ranges SELECT '', '{V1}' || id, 0, 0, admitted FROM settled
  WHERE admitted >= (SELECT max(admitted) FROM settled) - 172800000""",
    f"INSERT INTO corrections SELECT 'reset', backend, at, by, min(amount * 1000, {MOST}) FROM resets ORDER BY rowid",
    *(f"DROP TABLE {table}" for table in ("windows", "quarters", "held", "settled", "resets")),
)
"""Nano-dollars become pico-dollars. A reservation gets a whole lease at first sight."""


def version_of(db: sqlite3.Connection, name: str) -> int:
    """Read the schema of a file; 0 if it has none yet. Raises `ConfigError` for one of a newer llmmetrics."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA:
        raise ConfigError(
            f"{name} was written by a newer llmmetrics (its schema is {version}, this one knows {SCHEMA}): "
            "upgrade llmmetrics, or name another file in LlmSettings.Budget.Ledger"
        )
    return version


def upgrade(db: sqlite3.Connection, name: str) -> None:
    """Make the tables, and move into them what an older llmmetrics has written: all of it, or nothing."""
    if version_of(db, name) == SCHEMA:
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        # another process may have done it meanwhile
        version = version_of(db, name)
        for statement in (*(TABLES if version < SCHEMA else ()), *(_FROM_V1 if version == 1 else ())):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {SCHEMA}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
