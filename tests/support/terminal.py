"""A real terminal: a program in a pseudo-terminal of POSIX, what it writes there, and the screen that comes of it."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, Thread

import pyte


class Terminal:
    """A program that runs in a terminal of this size. Coverage looks into it where it looks into subprocesses."""

    def __init__(
        self, command: Sequence[str], columns: int, lines: int, cwd: Path | None = None, **environ: str
    ) -> None:
        import termios

        self.wrote = b""
        """All that the program wrote."""
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = Lock()
        self._ours, self.theirs = os.openpty()
        self.resize(columns, lines)
        self.before = termios.tcgetattr(self.theirs)
        # what a new session opens first is its controlling terminal, whose Ctrl-C interrupts it
        opening = ("/bin/sh", "-c", 'exec "$@" <>"$0" >&0 2>&0', os.ttyname(self.theirs))
        self.process = subprocess.Popen(
            [*opening, *command],
            stdin=subprocess.DEVNULL,
            cwd=cwd,
            env=environment(**environ),
            start_new_session=True,
        )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        # after the end, reading what nobody holds open any more is an error
        try:
            while data := os.read(self._ours, 2**16):
                with self._lock:
                    self.wrote += data
                    self._stream.feed(data)
        except OSError:
            pass

    def resize(self, columns: int, lines: int) -> None:
        """As a person drags the window's corner."""
        import fcntl
        import termios

        with self._lock:
            self._screen.resize(lines, columns)
            fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    @property
    def text(self) -> str:
        """The screen as it is now, without what is blank at the ends of its lines, and at its end."""
        with self._lock:
            return "\n".join(line.rstrip() for line in self._screen.display).rstrip() + "\n"

    @property
    def frame(self) -> bytes:
        """What a program that draws the whole screen again and again wrote last; b"" until all of it is there."""
        with self._lock:
            drawn = self.wrote.rpartition(b"\x1b[H")[2]
            return drawn if drawn.count(b"\n") == self._screen.lines - 1 else b""

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def end(self) -> int:
        """The program's exit code, once it has ended and all that it wrote is read."""
        code = self.process.wait(60)
        os.close(self.theirs)
        self._reader.join(60)
        os.close(self._ours)
        return code


def environment(**environ: str) -> Mapping[str, str]:
    """A terminal's, whatever this one is."""
    ours = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "PYTEST_ADDOPTS")
    kept = {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("TTY_")}
    return {**kept, "TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONIOENCODING": "utf8", **environ}


@contextmanager
def terminal(command: Sequence[str], columns: int = 80, lines: int = 24, **options: object) -> Iterator[Terminal]:
    """A program in a terminal, which is killed if it has not ended by itself."""
    made = Terminal(command, columns, lines, **options)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
            made.end()
