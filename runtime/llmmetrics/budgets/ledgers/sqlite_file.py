"""An SQLite file that any number of processes share: its connection, its lock, forks, and what can be wrong with it.

One file lock is taken around each transaction: waiting for SQLite's own (`busy_timeout`) starves processes.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from threading import RLock
from typing import TypeVar

from llmmetrics.budgets.ledgers.base import ReplacedError, TransientError
from llmmetrics.budgets.ledgers.locks import FileLock
from llmmetrics.budgets.ledgers.sqlite_schema import upgrade, version_of
from llmmetrics.errors import ConfigError, LedgerError
from llmmetrics.system import private_files, processes

T = TypeVar("T")

_PATIENCE = 1.0
"""Seconds that a fork waits for a thread that is inside SQLite."""

_PAGE = 1024
"""Bytes of a page of a new file. Every transaction writes whole pages, and changes a few rows of each."""

_WAL_PAGES = 4000
"""Pages after which SQLite moves the write-ahead log into the file."""

_of_parents: list[sqlite3.Connection] = []
"""Connections of a process that this one was forked off. They are never closed: that would touch the parent's locks."""


class SqliteFile:
    """`durability` is `normal` (a power cut may lose the last bookings, nothing else can) or `full`."""

    def __init__(self, path: Path, durability: str) -> None:
        self.name = f"sqlite:///{path}"
        self._path = path
        self._text = str(path)
        self._durability = durability
        self._lock = RLock()
        self._connection: sqlite3.Connection | None = None
        self._pid = 0
        self._identity: tuple[int, int] | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file_lock = FileLock(path.with_name(f"{path.name}.lock"))
        except OSError as exc:
            raise ConfigError(
                f"LlmSettings.Budget.Ledger: {path} cannot be written ({exc.strerror}): name a file on a disk that can"
            ) from None
        try:
            self.write(lambda _: None)
        except TransientError:
            # a program starts all the same, as with a Redis that is down: each call asks again. But what is no ledger
            # never will be one
            with suppress(TransientError):
                look(path)
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

    def read(self, look: Callable[[sqlite3.Cursor], T]) -> T:
        """Ask the file, without a transaction. Raises `LedgerError`."""
        try:
            with self._lock:
                return look(self._db())
        except (sqlite3.Error, OSError) as exc:
            raise _named(self.name, exc) from None

    def write(self, act: Callable[[sqlite3.Cursor], T]) -> T:
        """Do something in a transaction, whole or not at all. Raises `LedgerError`."""
        try:
            with self._lock:
                if self._connection is not None and self._connection.in_transaction:
                    return self._nested(self._connection.cursor(), act)
                with self._file_lock:
                    return self._transaction(act)
        except (sqlite3.Error, OSError) as exc:
            raise _named(self.name, exc) from None

    def _transaction(self, act: Callable[[sqlite3.Cursor], T]) -> T:
        db = self._db()
        db.execute("BEGIN IMMEDIATE")
        try:
            done = act(db)
            db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise
        return done

    def _nested(self, db: sqlite3.Cursor, act: Callable[[sqlite3.Cursor], T]) -> T:
        """Do something within this thread's own transaction: a signal's handler has just made a call."""
        db.execute("SAVEPOINT nested")
        try:
            done = act(db)
        except BaseException:
            db.execute("ROLLBACK TO nested")
            raise
        finally:
            db.execute("RELEASE nested")
        return done

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None and self._pid == processes.pid:
                self._connection.close()
            self._connection = None
            self._file_lock.close()

    def _db(self) -> sqlite3.Cursor:
        """Return a cursor for all statements of a question: a new one takes a tenth of a statement's time."""
        if self._connection is not None and self._pid == processes.pid and self._identity == _identity(self._text):
            return self._connection.cursor()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # SQLite gives its other files the mode of this one
        private_files.create(self._path)
        db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=1)
        try:
            # before the journal mode: a file of a newer llmmetrics is left as it is
            version_of(db, self.name)
            # a file that exists keeps its own
            db.execute(f"PRAGMA page_size = {_PAGE}")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
            db.execute(f"PRAGMA synchronous = {self._durability}")
            upgrade(db, self.name)
        except BaseException:
            db.close()
            raise
        before, self._identity = self._identity, _identity(self._text)
        self._connection, self._pid = db, processes.pid
        if before not in (None, self._identity):
            raise ReplacedError(f"{self.name} was deleted or replaced while this process used it: it is opened again")
        return db.cursor()

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


def _identity(path: str) -> tuple[int, int] | None:
    """Tell which file is at a path; None if there is none."""
    try:
        # at each call: `Path.stat` takes twice as long
        status = os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def look(path: Path) -> None:
    """Check whether this file can be a ledger, and change nothing. A file that does not exist could be made.

    Raises `ConfigError` and `LedgerError` as `SqliteFile` does.
    """
    name = f"sqlite:///{path}"
    try:
        _look(path, name)
    except (sqlite3.Error, OSError) as exc:
        raise _named(name, exc) from None


def _look(path: Path, name: str) -> None:
    there = path if path.exists() else next(each for each in path.parents if each.exists())
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
        version_of(db, name)


def _named(name: str, exc: Exception) -> LedgerError:
    """Say which file failed, how, and what to do."""
    if isinstance(exc, OSError):
        return LedgerError(f"{name}: {exc.strerror}: see that it can be read and written")
    for part, hint in _TRANSIENT.items():
        if part in str(exc):
            return TransientError(f"{name}: {exc}: {hint}")
    hint = next((hint for part, hint in _HINTS.items() if part in str(exc)), "see that it can be read and written")
    return LedgerError(f"{name}: {exc}: {hint}")


_TRANSIENT = {"locked": "another program holds it: end that program", "full": "make room on its disk"}

_HINTS = {
    "malformed": "it is damaged, and was left as it is: move it away, and a new one is made; the spend in it is lost",
    "not a database": "it is no SQLite file, and was left as it is: name another in LlmSettings.Budget.Ledger",
    "readonly": "give it to the user that this program runs as",
    "unable to open": "give it, and its directory, to the user that this program runs as",
}
