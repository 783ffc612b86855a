"""Reads single keys from a terminal that supports it."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

END = "\x04"
"""Ctrl-D; also returned when the terminal is closed."""

Pressed = Callable[[float], str]
"""Waits at most this many seconds; returns the pressed key, or ""."""


@contextmanager
def keys() -> Iterator[Pressed | None]:
    """Yield a function that waits for a key; None if only Ctrl-C works. Restore the terminal at the end."""
    if sys.platform == "win32" or not sys.stdin.isatty():
        yield None
        return
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def ready(seconds: float) -> bool:
        return bool(select.select([terminal], [], [], seconds)[0])

    def pressed(seconds: float) -> str:
        if not ready(seconds):
            return ""
        # nothing to read: Ctrl-C has discarded the key; or the terminal is closed, and stays ready
        return os.read(terminal, 1).decode("latin1") or (END if ready(0) else "")

    try:
        # read keys without Enter and without echo; Ctrl-C still interrupts
        tty.setcbreak(terminal)
        settings = termios.tcgetattr(terminal)
        # never wait for a key that was discarded
        settings[6][termios.VMIN] = 0
        termios.tcsetattr(terminal, termios.TCSANOW, settings)
        yield pressed
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
