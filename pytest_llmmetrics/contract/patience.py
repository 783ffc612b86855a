"""Time that passes without anybody waiting for it: back-off and timeouts are added up, never slept.

Blocking code sleeps by `time.sleep`, so that is patched. Async code waits in many ways (asyncio, anyio, timeouts), all
of which come down to its event loop's selector: here one that lets the time pass at once where nothing is ready.
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
"""Seconds that stand for a wait without an end: no time limit of a call is a day."""

_GRACE, _MOMENT = 0.5, 0.02
"""Real seconds that the loop gives other threads, at work and idle, before it lets time pass."""

_IDLE = ("threading.py", "queue.py", "thread.py", "_asyncio.py")
"""The files that a pool's thread is in while it waits for work."""

_CLOCKS = ("monotonic", "perf_counter", "time")


class DeadlockError(RuntimeError):
    """Async code that waits for what nobody will do."""


class Patience:
    """How long the code under test believes to have waited, in seconds."""

    def __init__(self) -> None:
        self.waited = 0.0
        self._real = {name: getattr(time, name) for name in ("sleep", *_CLOCKS)}
        # whoever was there before has a life of its own, such as a worker of xdist
        self._others = {each.ident for each in threading.enumerate()} - {threading.get_ident()}

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        if threading.get_ident() in self._others:
            self._real["sleep"](seconds)
        elif seconds > 0:
            self.waited += min(seconds, FOREVER)

    def monotonic(self) -> float:
        """Seconds that pass as the code under test believes."""
        return float(self._real["monotonic"]()) + self.waited

    def run(self, made: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, in an event loop of its own whose waits take no time."""
        with asyncio.Runner(loop_factory=lambda: _Loop(self)) as runner:
            return runner.run(made)

    def clocks(self) -> Mapping[str, Any]:
        """What `time` has to have instead of its own."""

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
    """Never waits for time; it waits for threads, where there are any besides those that there were."""

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
                raise DeadlockError("the code under test waits for something that nothing here will ever do")
            ready = super().select(_GRACE)
        if not ready and timeout is not None:
            self._patience.sleep(timeout)
        return ready

    def _grace(self) -> float:
        if threading.active_count() <= len(self._others):
            return 0
        return _GRACE if self._working() else _MOMENT

    def _working(self) -> bool:
        """Whether a thread that was not there before has something to do."""
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
    """Have nobody wait inside the block, but those who did before it."""
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
    """Where modules have `sleep` by a name of their own: `from time import sleep`."""
    modules = len(sys.modules)
    if modules not in _seen:
        _seen.clear()
        scopes = [vars(each) for each in list(sys.modules.values()) if each is not time and hasattr(each, "__dict__")]
        _seen[modules] = [(scope, name) for scope in scopes for name, value in list(scope.items()) if value is sleep]
    return _seen[modules]
