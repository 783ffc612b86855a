"""Entries that the ledger could not book yet, in a file on this machine's disk."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from threading import RLock
from typing import NamedTuple
from uuid import uuid4

from llmmetrics.budgets.ledgers.base import MOST, V1, Basis, CallId
from llmmetrics.system import private_files, processes

log = logging.getLogger("llmmetrics")

_ours: set[str] = set()
"""The names of this process's files. A container's first process has the same id after each restart."""


class Entry(NamedTuple):
    """An amount to book for a key, in pico-dollars. By its id it is booked once, however often it is sent."""

    key: str
    id: CallId
    amount: int
    admitted: datetime
    basis: Basis = Basis.KNOWN

    def line(self) -> str:
        return json.dumps([self.key, *self.id, self.amount, self.admitted.isoformat(), self.basis]) + "\n"


def _read(line: bytes) -> Entry | None:
    """Read a line; None if it is damaged: torn by a power cut, or written over."""
    try:
        fields = json.loads(line)
        if len(fields) == OLD:
            key, id, nano, admitted = fields
            fields = [key, f"{V1}{id}" if isinstance(id, str) else None, 0, nano * 1000, admitted, Basis.KNOWN]
        key, owner, number, amount, admitted, basis = fields
        entry = Entry(key, CallId(owner, number), amount, datetime.fromisoformat(admitted), Basis(basis))
    except (ValueError, TypeError, RecursionError, OverflowError):
        return None
    whole = isinstance(key, str) and isinstance(owner, str) and type(number) is int and type(amount) is int
    # no ledger takes another number or moment: such an entry would stop those after it
    return entry if whole and 0 <= amount <= MOST and 0 <= number < _NUMBERS and entry.admitted.tzinfo else None


OLD = 4
"""Fields in a line that schema 1 has written: backend, id, nano-dollars, moment."""

_NUMBERS = 2**53
"""Every ledger counts calls below that."""

ENDINGS = (".journal", ".jsonl")
"""How the files end; the second was written by schema 1, which could not read the first and would drop its lines."""


class Journal:
    """The entries that wait, in memory and in a file of this process.

    A process that died has left its file: the next process that opens a journal of the same `name` takes it over.
    Where the directory cannot be written to, the entries are kept in memory alone, and the log says so.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._name = name
        self._lock = RLock()
        self._waiting: list[Entry] = []
        self._path: Path | None = None
        self.skipped = 0
        """Damaged lines in the files of processes that died."""
        self._adopt()
        processes.on_fork(self._forked)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def waiting(self) -> Sequence[Entry]:
        """The entries that wait now."""
        return tuple(self._waiting)

    def append(self, entry: Entry) -> None:
        """Keep an entry until it is booked."""
        with self._lock:
            self._waiting.append(entry)
            try:
                self._write([entry], "a")
            except OSError as exc:
                log.warning(
                    "the journal in %s cannot be written to (%s): what is spent while the ledger is away is lost "
                    "if this process ends before it is back",
                    self._directory,
                    exc.strerror,
                )

    def replay(self, book: Callable[[Entry], object], most: int | None = None) -> None:
        """Book everything that waits, unless that is more than `most` or another thread does it.

        What `book` raises goes to the caller; what it has booked is not kept.
        """
        if (most is not None and len(self._waiting) > most) or not self._lock.acquire(blocking=False):
            return
        booked = 0
        try:
            for entry in self._waiting:
                book(entry)
                booked += 1
        finally:
            del self._waiting[:booked]
            with suppress(OSError):
                self._write(self._waiting, "w")
            self._lock.release()

    def _write(self, entries: list[Entry], mode: str) -> None:
        if self._path is None:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path = self._new()
        if not self._waiting:
            self._path.unlink(missing_ok=True)
            return
        private_files.create(self._path)
        with self._path.open(mode, encoding="utf8") as file:
            file.writelines(entry.line() for entry in entries)
            file.flush()
            os.fsync(file.fileno())

    def _new(self) -> Path:
        name = f"{self._name}.{processes.pid}.{uuid4().hex}{ENDINGS[0]}"
        _ours.add(name)
        return self._directory / name

    def _adopt(self) -> None:
        for path in self._left():
            mine = self._new()
            with suppress(OSError):
                # of several that want it, one can rename it
                path.rename(mine)
                entries = [_read(line) for line in mine.read_bytes().splitlines()]
                self._waiting += filter(None, entries)
                self._skip(path, entries.count(None))
                self._write(self._waiting, "w")
                if self._path != mine:
                    mine.unlink()

    def _skip(self, path: Path, lines: int) -> None:
        self.skipped += lines
        if lines:
            log.error(
                "the journal %s: %d lines were damaged and are skipped, the others are booked: compare the spend with "
                "the provider's bill",
                path,
                lines,
            )

    def _left(self) -> Iterator[Path]:
        for path in self._directory.glob(f"{self._name}.*"):
            if path.suffix not in ENDINGS:
                continue
            owner = path.name.removeprefix(f"{self._name}.").partition(".")[0]
            left = owner == str(processes.pid) and path.name not in _ours
            if left or (owner.isdigit() and not processes.alive(int(owner))):
                yield path

    def _forked(self) -> None:
        # what waits is the parent's to book
        self._lock, self._waiting, self._path = RLock(), [], None
