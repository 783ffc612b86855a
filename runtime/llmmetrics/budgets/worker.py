"""Background thread: runs tasks in order, and one periodic task."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread, current_thread
from typing import Any, TypeVar

from llmmetrics.system import processes

T = TypeVar("T")
_Task = tuple[Future[Any], Callable[[], Any]]


class Worker:
    """Runs tasks one after the other, and `recurring` every `interval` seconds between them (None: never).

    Its thread starts with the first task, and again in a process that was forked off.
    """

    runs = False
    """Whether its thread runs. Asked before each call: `start` looks the same up, and takes three times as long."""

    def __init__(self, name: str, interval: float | None = None, recurring: Callable[[], object] = bool) -> None:
        self._name = name
        self._interval = interval
        self._recurring = recurring
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._lock = Lock()
        self._thread: Thread | None = None
        self._pid = 0
        processes.on_fork(self._forked)

    def submit(self, task: Callable[[], T]) -> Future[T]:
        """Run a task after all that were submitted before it."""
        self.start()
        future: Future[T] = Future()
        self._tasks.put((future, task))
        return future

    def start(self) -> None:
        """Start the thread, unless it runs."""
        if self._thread is not None and self._pid == processes.pid:
            return
        with self._lock:
            if self._thread is None or self._pid != processes.pid:
                self._pid = processes.pid
                self._thread = Thread(target=self._work, args=(self._tasks,), name=self._name, daemon=True)
                self._thread.start()
                self.runs = True

    def close(self, seconds: float) -> None:
        """Run what was submitted, for so many seconds at most, and end the thread."""
        with self._lock:
            thread, self._thread, self.runs = self._thread, None, False
        if thread is not None and self._pid == processes.pid:
            self._tasks.put(None)
            # a task may close its own meter
            if thread is not current_thread():
                thread.join(seconds)

    def _forked(self) -> None:
        # the tasks are the parent's, and another thread may have held the lock
        self._lock, self._tasks, self._thread, self.runs = Lock(), SimpleQueue(), None, False

    def _due(self) -> float | None:
        return None if self._interval is None else time.monotonic() + self._interval

    def _work(self, tasks: SimpleQueue[_Task | None]) -> None:
        due = self._due()
        while True:
            try:
                next_one = tasks.get(timeout=None if due is None else max(due - time.monotonic(), 0))
            except Empty:
                with suppress(Exception):
                    self._recurring()
                due = self._due()
                continue
            if next_one is None:
                return
            future, task = next_one
            try:
                future.set_result(task())
            except BaseException as exc:
                future.set_exception(exc)
