"""A bash that runs one command after the other, as for a user at a terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

from support.servers import program

END = "--the-command-has-ended--"


class Shell:
    """One shell: changes of a command (directory, variables, jobs) remain for the next command."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, command: str, seconds: float = 120) -> str:
        """Run a command, and return its output. Raises `AssertionError` if it fails or does not end in time."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f'{{ {command}\n}} </dev/null\necho "{END}$?"\n')
        self._process.stdin.flush()
        watch = Timer(seconds, os.killpg, (self._process.pid, signal.SIGKILL))
        watch.start()
        said = ""
        try:
            for line in self._process.stdout:
                before, end, code = line.partition(END)
                said += before
                if end:
                    assert int(code) == 0, f"exit code {int(code)} of `{command}`:\n{said}"
                    return said
        finally:
            watch.cancel()
        raise AssertionError(f"`{command}` ended the shell, or took longer than {seconds} s:\n{said}")


@contextmanager
def shell(directory: Path, environ: Mapping[str, str], python: str = sys.executable) -> Iterator[Shell]:
    """Start a shell in this directory, with this Python's programs first; kill all its processes at the end."""
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("COV", "PYTEST", "LLM", "MAKE", "MFLAGS"))
    }
    path = os.pathsep.join((str(Path(python).parent), inherited["PATH"]))
    process = subprocess.Popen(
        [program("bash", "bash"), "--norc", "--noprofile"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=directory,
        env={**inherited, "HOME": str(directory), **environ, "PATH": path},
        text=True,
        start_new_session=True,
    )
    try:
        yield Shell(process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            pipe.close()


def same(shown: str, said: str) -> bool:
    """Tell whether a command's output is as shown: all numbers are equal, and `…` is any text."""
    pattern = re.escape(_plain(shown)).replace("…", ".*")
    return re.fullmatch(pattern, _plain(said), re.DOTALL) is not None


def _plain(text: str) -> str:
    return " ".join(re.sub(r"\d[\d.,]*", "0", text).split())


def commands(text: str) -> list[tuple[str, str]]:
    """Return the commands of a console block, each with its shown output."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append((line[2:].rstrip("\n"), ""))
        elif found and found[-1][0].endswith("\\"):
            found[-1] = (f"{found[-1][0]}\n{line.rstrip()}", "")
        else:
            assert found, f"a console block begins with a command, `$ …`, not with {line!r}"
            found[-1] = (found[-1][0], found[-1][1] + line)
    return found


def told(page: str, shell: Shell, text: str) -> None:
    """Run the commands of a console block, and compare their output with the shown output."""
    for command, shown in commands(text):
        said = shell.run(command)
        assert not shown.strip() or same(shown, said), f"{page}: `{command}` says\n{said}\nand not\n{shown}"
