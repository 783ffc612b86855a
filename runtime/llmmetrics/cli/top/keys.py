"""The keys that a person presses, one at a time, where the terminal can tell of them."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

END = "\x04"
"""Ctrl-D, and what a terminal that is gone says from then on."""

Pressed = Callable[[float], str]
"""Waits for so many seconds at most: the key that was pressed, or ""."""


@contextmanager
def keys() -> Iterator[Pressed | None]:
    """What waits for a key; None where only Ctrl-C is to be had. The terminal is left as it was."""
    if sys.platform == "win32" or not sys.stdin.isatty():
        yield None
        return
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def pressed(seconds: float) -> str:
        ready, _, _ = select.select([terminal], [], [], seconds)
        return (os.read(terminal, 1).decode("latin1") or END) if ready else ""

    try:
        # keys without a line's end and without an echo; Ctrl-C goes on to interrupt
        tty.setcbreak(terminal)
        yield pressed
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
