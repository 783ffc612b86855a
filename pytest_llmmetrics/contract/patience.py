"""Simulated time: back-off and timeouts are added up, never slept.

Blocking code waits in `time.sleep`, which is patched. Async code waits in many ways (asyncio, anyio, timeouts), but
all of them use the selector of the event loop: this one advances the time at once if nothing is ready.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

FOREVER = 86_400.0
"""The seconds of an endless wait: no call has a time limit of a day."""

_GRACE, _MOMENT = 0.5, 0.02
"""Real seconds that the loop waits for busy and for idle threads before it advances the time."""

_IDLE = ("threading.py", "queue.py", "thread.py", "_asyncio.py")
"""A pool's thread waits for work in these files."""

_CLOCKS = ("monotonic", "perf_counter", "time")


class DeadlockError(RuntimeError):
    """Async code waits for something that will never happen."""


class Patience:
    """The simulated time: `waited` is the sum of all waits, in seconds."""

    def __init__(self) -> None:
        self.waited = 0.0
        self._real = {name: getattr(time, name) for name in ("sleep", *_CLOCKS)}
        # threads that ran before, such as those of an xdist worker, keep real time
        self._others = {each.ident for each in threading.enumerate()} - {threading.get_ident()}

    def sleep(self, seconds: float) -> None:
        """Advance the time; sleep in threads that ran before."""
        if threading.get_ident() in self._others:
            self._real["sleep"](seconds)
        elif seconds > 0:
            self.waited += min(seconds, FOREVER)

    def monotonic(self) -> float:
        """Return the monotonic time that the code under test sees, in seconds."""
        return float(self._real["monotonic"]()) + self.waited

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in a new event loop whose waits take no real time."""
        with asyncio.Runner(loop_factory=lambda: _Loop(self)) as runner:
            return runner.run(coroutine)

    def clocks(self) -> Mapping[str, Any]:
        """Return the replacements for functions of the module `time`."""

        def moved(real: Any) -> Any:
            return lambda: real() + self.waited

        return {"sleep": self.sleep, **{name: moved(self._real[name]) for name in _CLOCKS}}


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        super().__init__(_Selector(patience))

    def time(self) -> float:
        return self._patience.monotonic()


class _Selector(selectors.DefaultSelector):
    """Does not wait for time, only for threads that were started after it."""

    def __init__(self, patience: Patience) -> None:
        super().__init__()
        self._patience = patience
        self._others = {each.ident for each in threading.enumerate()}

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        ready = super().select(self._grace())
        while not ready and (timeout is None or timeout > FOREVER):
            if not self._working():
                raise DeadlockError(
                    "the code under test waits for something that never happens: no timer, socket or thread can wake it"
                )
            ready = super().select(_GRACE)
        if not ready and timeout is not None:
            self._patience.sleep(timeout)
        return ready

    def _grace(self) -> float:
        if threading.active_count() <= len(self._others):
            return 0
        return _GRACE if self._working() else _MOMENT

    def _working(self) -> bool:
        """Tell whether a new thread is busy."""
        frames = sys._current_frames()  # noqa: SLF001 - documented, and the only way to see another thread
        return any(_works(frame) for ident, frame in frames.items() if ident not in self._others)


def _works(frame: FrameType | None) -> bool:
    while frame is not None:
        if not frame.f_code.co_filename.endswith(_IDLE):
            return True
        frame = frame.f_back
    return False


@contextmanager
def impatient() -> Iterator[Patience]:
    """Simulate time inside the block, except in threads that ran before it."""
    patience = Patience()
    real_sleep = time.sleep
    before = {name: getattr(time, name) for name in ("sleep", *_CLOCKS)}
    bound = _bound(real_sleep)
    for name, value in patience.clocks().items():
        setattr(time, name, value)
    for scope, name in bound:
        scope[name] = patience.sleep
    try:
        yield patience
    finally:
        for name, value in before.items():
            setattr(time, name, value)
        for scope, name in bound:
            scope[name] = real_sleep


_seen: dict[int, list[tuple[dict[str, Any], str]]] = {}


def _bound(sleep: Any) -> list[tuple[dict[str, Any], str]]:
    """Find the modules that have imported `sleep` by name: `from time import sleep`."""
    modules = len(sys.modules)
    if modules not in _seen:
        _seen.clear()
        scopes = [vars(each) for each in list(sys.modules.values()) if each is not time and hasattr(each, "__dict__")]
        _seen[modules] = [(scope, name) for scope in scopes for name, value in list(scope.items()) if value is sleep]
    return _seen[modules]
