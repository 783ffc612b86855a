"""Real servers that tests start: on a free port, in a directory of their own, stopped at the end."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")


def program(name: str, package: str) -> str:
    """The path of a server's program. Where it is missing, CI fails and a user's test is skipped."""
    found = shutil.which(name)
    if found:
        return found
    reason = f"needs {name}: apt install {package}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(found: Callable[[], T], what: str, seconds: float = 60) -> T:
    """What `found` gives as soon as it is true; nothing raised by a server that is not there yet counts."""
    deadline = time.monotonic() + seconds
    while True:
        last: object = None
        try:
            last = found()
            if last:
                return last
        except (OSError, ValueError, LookupError) as exc:
            last = exc
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come within {seconds} s; the last was {last!r}")
        time.sleep(0.02)


def get(url: str, **headers: str) -> str:
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read().decode()


@contextmanager
def running(command: list[str], log: Path, **environ: str) -> Iterator[subprocess.Popen]:
    """A server, from its start to its end; what it says goes to a file."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env={**inherited, **environ})
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
