"""A lock that processes share through a file; where the system has none, SQLite's own serves."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from llmmetrics.budgets.ledgers.base import TransientError
from llmmetrics.system import private_files

PATIENCE = 5.0
"""Seconds after which the process that holds the lock is taken to be stuck."""

LOOK = 1.0
"""Seconds between two looks whether the file is still there."""

fcntl: Any = None
with suppress(ImportError):  # Windows has none
    import fcntl


class FileLock:
    """Not reentrant, and for one thread at a time: its owner has a lock for threads.

    It makes processes take turns; SQLite's own lock keeps them apart.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        self._looks_at = 0.0
        self._open()

    def __enter__(self) -> None:
        if self._try():
            return
        # the process that has waited longest asks most often, so that none waits long
        begun, pause = time.monotonic(), 0.001
        while not self._try():
            waited = time.monotonic() - begun
            if waited > PATIENCE:
                raise TransientError(f"{self._path} is locked by a process that does not let go: end it")
            time.sleep(pause)
            pause = max(pause * 0.7, 0.00001) if waited < 0.1 else 0.002

    def __exit__(self, *_: object) -> None:
        if fcntl is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def taken(self) -> bool:
        """Whether another process has it now."""
        if fcntl is None or not self._try():
            return True
        self.__exit__()
        return False

    def _try(self) -> bool:
        if fcntl is None:
            return True
        if self._file < 0:
            self._open()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        now = time.monotonic()
        if now < self._looks_at:
            return True
        self._looks_at = now + LOOK
        if os.fstat(self._file).st_nlink:
            return True
        # deleted or replaced: other processes lock the file that has taken its place
        self.close()
        return self._try()

    def _open(self) -> None:
        if fcntl is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            private_files.create(self._path)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def forked(self) -> None:
        """Open the file again in a child: a lock belongs to an open file, which a fork shares."""
        self.close()
