"""A program in a POSIX pseudo-terminal: its output, and the screen that results."""

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
    """A program that runs in a terminal of this size. Coverage includes it if it includes subprocesses."""

    def __init__(
        self, command: Sequence[str], columns: int, lines: int, cwd: Path | None = None, **environ: str
    ) -> None:
        import termios

        self.wrote = b""
        """All output of the program."""
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = Lock()
        self._ours, self.theirs = os.openpty()
        self.resize(columns, lines)
        self.before = termios.tcgetattr(self.theirs)
        # the first terminal that a new session opens is its controlling terminal: Ctrl-C then interrupts it
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
        # after the program's end, reading raises an error
        try:
            while data := os.read(self._ours, 2**16):
                with self._lock:
                    self.wrote += data
                    self._show(data)
        except OSError:
            pass

    def _show(self, data: bytes) -> None:
        try:
            self._stream.feed(data)
        except TypeError:
            # Ctrl-C discards what is not yet read, perhaps the middle of a control sequence: pyte has no patience with
            # the rest, and a program whose output is not read never ends
            self._stream = pyte.ByteStream(self._screen)

    def resize(self, columns: int, lines: int) -> None:
        """Resize the window."""
        import fcntl
        import termios

        with self._lock:
            self._screen.resize(lines, columns)
            fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    @property
    def text(self) -> str:
        """Return the current screen, without trailing spaces and lines."""
        with self._lock:
            return "\n".join(line.rstrip() for line in self._screen.display).rstrip() + "\n"

    @property
    def frame(self) -> bytes:
        """Return the last complete screen of a program that redraws the whole screen; b"": none yet."""
        with self._lock:
            drawn = self.wrote.rpartition(b"\x1b[H")[2]
            return drawn if drawn.count(b"\n") == self._screen.lines - 1 else b""

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def end(self) -> int:
        """Wait for the program's end, read all its output, and return its exit code."""
        code = self.process.wait(60)
        os.close(self.theirs)
        self._reader.join(60)
        os.close(self._ours)
        return code


def environment(**environ: str) -> Mapping[str, str]:
    """Return the environment of a standard terminal."""
    ours = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "PYTEST_ADDOPTS")
    kept = {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("TTY_")}
    return {**kept, "TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONIOENCODING": "utf8", **environ}


@contextmanager
def terminal(command: Sequence[str], columns: int = 80, lines: int = 24, **options: object) -> Iterator[Terminal]:
    """Run a program in a terminal; kill it at the end of the block if it still runs."""
    made = Terminal(command, columns, lines, **options)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
            made.end()
