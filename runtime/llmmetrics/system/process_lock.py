"""A lock that a forked child has again, free: a thread of the parent may hold it at the fork."""

from __future__ import annotations

from threading import RLock

from llmmetrics.system import processes


class ProcessLock:
    """A lock for `with`. A thread may take it twice: a signal handler may make a call within a call's booking."""

    def __init__(self) -> None:
        self._forked()
        processes.on_fork(self._forked)

    def _forked(self) -> None:
        self._lock = RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
