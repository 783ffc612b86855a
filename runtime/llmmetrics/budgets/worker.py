"""A thread that does what must not hold up anybody: ledger work of async callers, in order, and what recurs."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

from llmmetrics.system import processes

T = TypeVar("T")
_Task = tuple[Future[Any], Callable[[], Any]]


class Worker:
    """Does tasks one after the other, and `recurring` every `interval` seconds between them.

    Its thread starts with the first task, and again in a process that was forked off.
    """

    def __init__(self, interval: float, recurring: Callable[[], object]) -> None:
        self._interval = interval
        self._recurring = recurring
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._lock = Lock()
        self._thread: Thread | None = None
        self._pid = 0
        processes.on_fork(self._forked)

    def submit(self, task: Callable[[], T]) -> Future[T]:
        """Have a task done after all that were handed over before it."""
        self.start()
        future: Future[T] = Future()
        self._tasks.put((future, task))
        return future

    def start(self) -> None:
        """Have the thread run."""
        if self._thread is not None and self._pid == processes.pid:
            return
        with self._lock:
            if self._thread is None or self._pid != processes.pid:
                self._pid = processes.pid
                self._thread = Thread(target=self._work, args=(self._tasks,), name="llmmetrics-ledger", daemon=True)
                self._thread.start()

    def close(self, seconds: float) -> None:
        """Do what was handed over, for so many seconds at most, and end."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None and self._pid == processes.pid:
            self._tasks.put(None)
            thread.join(seconds)

    def _forked(self) -> None:
        # the tasks are the parent's, and another thread may have held the lock
        self._lock, self._tasks, self._thread = Lock(), SimpleQueue(), None

    def _work(self, tasks: SimpleQueue[_Task | None]) -> None:
        due = time.monotonic() + self._interval
        while True:
            try:
                found = tasks.get(timeout=max(due - time.monotonic(), 0))
            except Empty:
                with suppress(Exception):
                    self._recurring()
                due = time.monotonic() + self._interval
                continue
            if found is None:
                return
            future, task = found
            try:
                future.set_result(task())
            except BaseException as exc:
                future.set_exception(exc)
