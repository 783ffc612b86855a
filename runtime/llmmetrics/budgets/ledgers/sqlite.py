"""The ledger of one machine: an SQLite file that any number of processes share, and that survives `kill -9`.

One file lock is taken around each transaction: waiting for SQLite's own (`busy_timeout`) starves processes.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar

from llmmetrics.budgets.ledgers.base import (
    KEPT,
    QUARTER,
    REMEMBERED,
    SCHEMA,
    Balance,
    ReplacedError,
    Reset,
    Standing,
    WindowRow,
    bounds,
    milliseconds,
    moment,
)
from llmmetrics.budgets.ledgers.locks import FileLock
from llmmetrics.errors import ConfigError, LedgerError
from llmmetrics.settings.windows import Window
from llmmetrics.system import processes

T = TypeVar("T")

_TABLES = """
CREATE TABLE IF NOT EXISTS windows (
  backend TEXT, start INTEGER, "end" INTEGER, spent INTEGER NOT NULL, generation INTEGER NOT NULL DEFAULT 0,
  "limit" INTEGER, PRIMARY KEY (backend, "end", start)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quarters (
  backend TEXT, start INTEGER, spent INTEGER NOT NULL, PRIMARY KEY (backend, start)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS held (
  backend TEXT, id TEXT, amount INTEGER NOT NULL, admitted INTEGER NOT NULL, ends INTEGER NOT NULL,
  PRIMARY KEY (backend, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settled (id TEXT UNIQUE, admitted INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS resets (backend TEXT, at INTEGER, by TEXT, amount INTEGER);
"""

_PATIENCE = 1.0
"""Seconds that a fork waits for a thread that is inside SQLite."""

_of_parents: list[sqlite3.Connection] = []
"""Connections of a process that this one was forked off. They are never closed: that would touch the parent's locks."""

_PRUNE_EVERY = 1024
"""Settled ids are forgotten so many at a time: no call waits long for it."""


class SqliteLedger:
    """See `Ledger`. `durability` is `normal` (a power cut may lose the last bookings, nothing else can) or `full`."""

    reach = "this machine only"
    local = True

    def __init__(self, path: Path, namespace: str, durability: str) -> None:
        self.name = f"sqlite:///{path}"
        # what every backend's name in the file begins with
        self._prefix = f"{namespace}\x1f"
        self._path = path
        self._durability = durability
        self._lock = RLock()
        self._connection: sqlite3.Connection | None = None
        self._pid = 0
        self._identity: tuple[int, int] | None = None
        self._settled = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file_lock = FileLock(path.with_name(f"{path.name}.lock"))
        except OSError as exc:
            raise ConfigError(
                f"LlmSettings.Budget.Ledger: {path} cannot be written ({exc.strerror}): name a file on a disk that can"
            ) from None
        self._do(lambda _: None)
        processes.before_fork(self._at_rest)
        processes.on_fork(self._forked)

    @property
    def blocking(self) -> bool:
        """Whether another thread or process is just writing."""
        if not self._lock.acquire(blocking=False):
            return True
        try:
            return self._file_lock.taken()
        except OSError:
            return True
        finally:
            self._lock.release()

    # the verbs

    def reserve(
        self, backend: str, window: Window, amount: int, limit: int | None, id: str, now: datetime, lease: timedelta
    ) -> Standing:
        backend, at = self._prefix + backend, milliseconds(now)

        def look(db: sqlite3.Connection) -> Standing | None:
            """What a call that holds nothing needs to know, if nothing is to be written."""
            row = db.execute(_WINDOW, (backend, *bounds(window))).fetchone()
            if row is None or row[2] != limit or db.execute(_HELD, (backend,)).fetchone():
                return None
            return Standing(limit is None or row[0] < limit, row[0], 0, 0, row[1])

        def write(db: sqlite3.Connection) -> Standing:
            spent, generation, before = _opened(db, backend, window)
            if before != limit:
                db.execute(_LIMIT, (limit, backend, *bounds(window)))
            reserved, expired = _held(db, backend, window, at)
            known = db.execute("SELECT 1 FROM held WHERE backend = ? AND id = ?", (backend, id)).fetchone()
            fits = limit is None or (spent < limit and spent + reserved + amount <= limit)
            if fits and amount and not known and not db.execute(_SETTLED, (id,)).fetchone():
                ends = milliseconds(now + lease)
                db.execute("INSERT INTO held VALUES (?, ?, ?, ?, ?)", (backend, id, amount, at, ends))
                reserved += amount
            return Standing(fits or known is not None, spent, reserved, expired, generation)

        return (None if amount else self._read(look)) or self._do(write)

    def renew(self, backend: str, id: str, amount: int, admitted: datetime, now: datetime, lease: timedelta) -> None:
        backend = self._prefix + backend

        def write(db: sqlite3.Connection) -> None:
            if not db.execute(_SETTLED, (id,)).fetchone():
                row = (backend, id, amount, milliseconds(admitted), milliseconds(now + lease))
                db.execute("INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?, ?)", row)

        self._do(write)

    def settle(self, backend: str, id: str, amount: int, admitted: datetime, window: Window) -> Balance:
        backend, at = self._prefix + backend, milliseconds(admitted)

        def write(db: sqlite3.Connection) -> Balance:
            spent, generation, _ = _opened(db, backend, window)
            if db.execute("INSERT OR IGNORE INTO settled VALUES (?, ?)", (id, at)).rowcount:
                db.execute("DELETE FROM held WHERE backend = ? AND id = ?", (backend, id))
                if amount:
                    spent += amount
                    db.execute(_ADD, (amount, backend, at, at))
                    db.execute(_ADD_QUARTER, (backend, at // QUARTER * QUARTER, amount))
                self._settled += 1
                if self._settled % _PRUNE_EVERY == 0:
                    db.execute(_FORGET, (2 * _PRUNE_EVERY, milliseconds(admitted - REMEMBERED)))
            return Balance(spent, _reserved(db, backend, window), 0, generation)

        return self._do(write)

    def balance(self, backend: str, window: Window, now: datetime) -> Balance:
        backend, at = self._prefix + backend, milliseconds(now)

        def look(db: sqlite3.Connection) -> Balance | None:
            row = db.execute(_WINDOW, (backend, *bounds(window))).fetchone()
            if row is None or db.execute(_OVER, (backend, at)).fetchone():
                return None
            return Balance(row[0], _reserved(db, backend, window), 0, row[1])

        return self._read(look) or self._do(lambda db: _balance(db, backend, window, at))

    def history(self, backend: str | None = None) -> Sequence[WindowRow]:
        rows = self._rows(
            'SELECT backend, start, "end", spent, "limit" FROM windows', 'start DESC, "end" DESC, backend DESC', backend
        )
        return [
            WindowRow(name, Window(moment(start), moment(end)), spent, limit) for name, start, end, spent, limit in rows
        ]

    def reset(self, backend: str, window: Window, now: datetime, by: str) -> int:
        backend, at = self._prefix + backend, milliseconds(now)

        def write(db: sqlite3.Connection) -> int:
            amount = _balance(db, backend, window, at).spent
            db.execute(_RESET, (backend, *bounds(window)))
            # a window of other settings that is opened later does not bring it back
            db.execute(
                "DELETE FROM quarters WHERE backend = ? AND start >= ? AND start < ?", (backend, *bounds(window))
            )
            db.execute("INSERT INTO resets VALUES (?, ?, ?, ?)", (backend, at, by, amount))
            return amount

        return self._do(write)

    def resets(self, backend: str | None = None) -> Sequence[Reset]:
        rows = self._rows("SELECT backend, at, by, amount FROM resets", "rowid DESC", backend)
        return [Reset(name, moment(at), by, amount) for name, at, by, amount in rows]

    def _rows(self, select: str, order: str, backend: str | None) -> Iterator[Any]:
        """Read the rows of this namespace, or of one backend in it."""
        whose = self._prefix + (backend or "")
        of = "backend = ?" if backend else "substr(backend, 1, length(?)) = ?"
        selected = self._read(
            lambda db: db.execute(f"{select} WHERE {of} ORDER BY {order}", (whose,) * of.count("?")).fetchall()
        )
        return ((name.removeprefix(self._prefix), *rest) for name, *rest in selected)

    def close(self) -> None:
        with self._lock:
            if self._connection is not None and self._pid == processes.pid:
                self._connection.close()
            self._connection = None
            self._file_lock.close()

    # the file

    def _read(self, look: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock, _checked(self.name):
            return look(self._db())

    def _do(self, write: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock, _checked(self.name), self._file_lock:
            db = self._db()
            db.execute("BEGIN IMMEDIATE")
            try:
                done = write(db)
                db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                raise
            return done

    def _db(self) -> sqlite3.Connection:
        if self._connection is not None and self._pid == processes.pid and self._identity == _identity(self._path):
            return self._connection
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=1)
        try:
            self._prepare(db)
        except BaseException:
            db.close()
            raise
        before, self._identity = self._identity, _identity(self._path)
        self._connection, self._pid = db, processes.pid
        if before not in (None, self._identity):
            raise ReplacedError(f"{self.name} was deleted or replaced while this process used it: it is opened again")
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        version = _version(db, self.name)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {self._durability}")
        if version < SCHEMA:
            db.executescript(_TABLES)
            db.execute(f"PRAGMA user_version = {SCHEMA}")

    def _at_rest(self) -> Callable[[], object] | None:
        """Close the connection before a fork: SQLite's state must not cross one, least of all in mid-transaction."""
        if not self._lock.acquire(timeout=_PATIENCE):
            return None
        # a fork in a signal handler may interrupt this thread's own transaction
        if self._connection is not None and not self._connection.in_transaction:
            self._connection.close()
            self._connection = None
        return self._lock.release

    def _forked(self) -> None:
        if self._connection is not None:
            _of_parents.append(self._connection)
        self._lock, self._connection = RLock(), None
        self._file_lock.forked()


def _identity(path: Path) -> tuple[int, int] | None:
    """Tell which file is at a path; None if there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def look(path: Path) -> None:
    """Check whether this file can be a ledger, and change nothing. A file that does not exist could be made.

    Raises `ConfigError` and `LedgerError` as `SqliteLedger` does.
    """
    name = f"sqlite:///{path}"
    there = path if path.exists() else next(each for each in path.parents if each.exists())
    with _checked(name):
        if not os.access(there, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if there is not path:
            if not there.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            return
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        # as if no process wrote to it: otherwise even a reader leaves files
        with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as db:
            _version(db, name)


def _version(db: sqlite3.Connection, name: str) -> int:
    """Read the schema of a file; 0 if it has none yet."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA:
        raise ConfigError(
            f"{name} was written by a newer llmmetrics (its schema is {version}, this one knows {SCHEMA}): "
            "upgrade llmmetrics, or name another file in LlmSettings.Budget.Ledger"
        )
    return version


@contextmanager
def _checked(name: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        hint = next((hint for part, hint in _HINTS.items() if part in str(exc)), "see that it can be read and written")
        raise LedgerError(f"{name}: {exc}: {hint}") from None
    except OSError as exc:
        raise LedgerError(f"{name}: {exc.strerror}: see that it can be read and written") from None


_HINTS = {
    "malformed": "it is damaged, and was left as it is: move it away, and a new one is made; the spend in it is lost",
    "not a database": "it is no SQLite file, and was left as it is: name another in LlmSettings.Budget.Ledger",
    "locked": "another program holds it: end that program",
    "full": "make room on its disk",
    "readonly": "give it to the user that this program runs as",
    "unable to open": "give it, and its directory, to the user that this program runs as",
}

_WINDOW = 'SELECT spent, generation, "limit" FROM windows WHERE backend = ? AND start = ? AND "end" = ?'
_LIMIT = 'UPDATE windows SET "limit" = ? WHERE backend = ? AND start = ? AND "end" = ?'
_SETTLED = "SELECT 1 FROM settled WHERE id = ?"
_HELD = "SELECT 1 FROM held WHERE backend = ? LIMIT 1"
_OVER = "SELECT 1 FROM held WHERE backend = ? AND ends <= ? LIMIT 1"
_ADD = 'UPDATE windows SET spent = spent + ? WHERE backend = ? AND "end" > ? AND start <= ?'
_ADD_QUARTER = (
    "INSERT INTO quarters VALUES (?, ?, ?) ON CONFLICT (backend, start) DO UPDATE SET spent = spent + excluded.spent"
)
_RESET = 'UPDATE windows SET spent = 0, generation = generation + 1 WHERE backend = ? AND start = ? AND "end" = ?'
_FORGET = "DELETE FROM settled WHERE rowid IN (SELECT rowid FROM settled ORDER BY rowid LIMIT ?) AND admitted < ?"


def _opened(db: sqlite3.Connection, backend: str, window: Window) -> tuple[int, int, int | None]:
    """Return what a window has spent, its generation and its limit.

    One that is new starts from what was spent in it: its settings have changed in mid-window.
    """
    ends = bounds(window)
    row: Any = db.execute(_WINDOW, (backend, *ends)).fetchone()
    if row:
        spent, generation, limit = row
        return spent, generation, limit
    (spent,) = db.execute(
        "SELECT coalesce(sum(spent), 0) FROM quarters WHERE backend = ? AND start >= ? AND start < ?", (backend, *ends)
    ).fetchone()
    db.execute('INSERT INTO windows (backend, start, "end", spent) VALUES (?, ?, ?, ?)', (backend, *ends, spent))
    old = milliseconds(window.start - KEPT) if ends[0] else 0
    db.execute('DELETE FROM windows WHERE "end" < ?', (old,))
    db.execute("DELETE FROM quarters WHERE start < ?", (old,))
    return spent, 0, None


def _reserved(db: sqlite3.Connection, backend: str, window: Window) -> int:
    start, end = bounds(window)
    held: Any = db.execute(
        "SELECT coalesce(sum(amount), 0) FROM held WHERE backend = ? AND admitted >= ? AND admitted < ?",
        (backend, start, end),
    ).fetchone()[0]
    return int(held)


def _held(db: sqlite3.Connection, backend: str, window: Window, at: int) -> tuple[int, int]:
    """Return what is reserved in a window, and how many leases had ended."""
    expired = db.execute("DELETE FROM held WHERE backend = ? AND ends <= ?", (backend, at)).rowcount
    return _reserved(db, backend, window), expired


def _balance(db: sqlite3.Connection, backend: str, window: Window, at: int) -> Balance:
    spent, generation, _ = _opened(db, backend, window)
    reserved, expired = _held(db, backend, window, at)
    return Balance(spent, reserved, expired, generation)
