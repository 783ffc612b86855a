"""Turns Ctrl-C into a flag that is checked between two steps.

As an exception it may be raised anywhere, also in an import or in C code that swallows it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether Ctrl-C or SIGTERM has arrived. A second one interrupts at once.

    Call it in the main thread.
    """
    signalled = False

    def ask(*_: object) -> None:
        nonlocal signalled
        if signalled:
            raise KeyboardInterrupt
        signalled = True

    before = {each: signal.signal(each, ask) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: signalled
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
