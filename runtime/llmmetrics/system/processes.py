"""Facts about a worker process: whether it shares its numbers, its siblings, and whether it was forked.

Several processes share their numbers through prometheus-client's multiprocess mode: files in the directory
that PROMETHEUS_MULTIPROC_DIR names. https://prometheus.github.io/client_python/multiprocess/
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import local
from typing import Any
from weakref import WeakMethod

from prometheus_client import values

from llmmetrics.errors import ConfigError

log = logging.getLogger("llmmetrics")

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

pid = os.getpid()
"""The id of this process, also after a fork. A system call each time would be slower."""

forked = False
"""Whether this process was forked from one that had imported this module."""

_listeners: list[WeakMethod[Callable[[], None]]] = []


def on_fork(listener: Callable[[], None]) -> None:
    """Call a bound method in every process that is forked from this one, as long as its object lives."""
    _listeners[:] = [each for each in _listeners if each() is not None]
    _listeners.append(WeakMethod(listener))


_at_rest: list[WeakMethod[Callable[[], Callable[[], object] | None]]] = []


class _Forking(local):
    """What a thread that forks calls after the fork."""

    def __init__(self) -> None:
        self.go_on: list[Callable[[], object]] = []


_forking = _Forking()


def before_fork(rest: Callable[[], Callable[[], object] | None]) -> None:
    """Call a bound method before each fork of this process, as long as its object lives.

    What it returns is called in the parent after the fork.
    """
    _at_rest[:] = [each for each in _at_rest if each() is not None]
    _at_rest.append(WeakMethod(rest))


def _before() -> None:
    for reference in _at_rest:
        if (rest := reference()) and (go_on := rest()):
            _forking.go_on.append(go_on)


def _after_in_parent() -> None:
    while _forking.go_on:
        _forking.go_on.pop()()


def _forked() -> None:
    global pid, forked
    pid, forked = os.getpid(), True
    _forking.go_on.clear()
    for reference in _listeners:
        if listener := reference():
            listener()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_forked)


def shared() -> bool:
    """Return whether prometheus-client keeps the numbers of this process in shared files."""
    return getattr(values.ValueClass, "_multiprocess", False)


def multiprocess() -> bool:
    """Check the multiprocess mode at the start of a meter. Raises `ConfigError` for an unusable directory."""
    directory = os.environ.get(VARIABLE)
    if directory is None:
        if shared():
            raise ConfigError(
                f"{VARIABLE} was set when prometheus_client was imported, and is not set now: keep it set"
            )
        return False
    if problem := fault():
        raise ConfigError(problem)
    if not shared():
        log.warning(
            "%s was set after prometheus_client was imported, which is too late: this process shares no numbers. "
            "Set it in the environment that the server is started in",
            VARIABLE,
        )
    _tell_stale(directory)
    return shared()


def fault() -> str | None:
    """Describe what is wrong with the directory of this process; None if it is usable."""
    directory = os.environ.get(VARIABLE, "")
    problem = unusable(directory)
    return problem and f"{VARIABLE}={directory!r} {problem}"


def unusable(directory: str) -> str | None:
    """Describe what is wrong with a multiprocess directory and what to do; None if it is usable."""
    if not directory:
        return "is empty: set it to the path of an empty directory, or unset it if there is only one process"
    path = Path(directory)
    if not path.is_dir():
        there = path.exists()
        return (
            "is not a directory: set it to a directory"
            if there
            else "does not exist: create it, empty, before the server starts"
        )
    try:
        with tempfile.TemporaryFile(dir=directory):
            return None
    except OSError as exc:
        return f"is not writable ({exc.strerror}): allow the server's user to write to it"


def _tell_stale(directory: str) -> None:
    """Warn of what an earlier run has left."""
    if left_over(directory, apart_from=pid):
        log.warning(
            "%s=%r holds the numbers of ended processes, and new counts add to them: "
            "empty it before the server starts, so that counters start at 0",
            VARIABLE,
            directory,
        )


def left_over(directory: str, *, apart_from: int | None = None) -> bool:
    """Return whether a multiprocess directory holds the numbers of ended processes and of no living one."""
    owners = {owner for _, owner in files(directory)} - {apart_from}
    # those of many ended workers are merged: `llmmetrics.metrics.ended_workers`
    merged = any(Path(directory).glob("*_ended*.db"))
    return (merged or bool(owners)) and not any(map(alive, owners))


def files(directory: str, pattern: str = "*_*.db") -> Iterator[tuple[Path, int]]:
    """Yield the files of a multiprocess directory, each with the id of its process."""
    for path in Path(directory).glob(pattern):
        owner = path.stem.rpartition("_")[2]
        if owner.isdigit():
            yield path, int(owner)


def alive(process: int) -> bool:
    """Return whether a process exists; True if the system cannot tell."""
    if os.name == "nt":
        # on Windows, signal 0 would end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def sweep(directory: str) -> None:
    """Remove the files of ended processes for gauges that count only live ones."""
    for path, owner in files(directory, "gauge_live*_*.db"):
        if not alive(owner):
            # a process without write permission leaves this to the others
            with suppress(OSError):
                path.unlink()


def alone() -> str | None:
    """Write the warning for a worker process that does not share its numbers; None if it has no siblings."""
    server = os.environ.get("SERVER_SOFTWARE", "")
    from multiprocessing import parent_process

    if not (forked or parent_process() or server.startswith("gunicorn/")):
        return None
    siblings = _siblings()
    if siblings is not None and siblings < 2:
        return None
    return (
        f"this is one of several worker processes, and {VARIABLE} is not set: each counts separately, and a scrape "
        f"reads a random one of them. Set {VARIABLE} to an empty directory before the server starts, and serve "
        "meter.asgi_app() or meter.wsgi_app()"
    )


def _siblings() -> int | None:
    """Count our parent's processes like this one; None if the system does not say."""
    parent, count = os.getppid(), 0
    try:
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                # pid (name) state ppid: the name may hold anything
                fields: Any = stat.read_text().rpartition(")")[2].split()
                count += int(fields[1]) == parent and b"resource_tracker" not in (stat.parent / "cmdline").read_bytes()
            except (OSError, ValueError, IndexError):
                continue
    except OSError:
        return None
    return count or None
