"""What a worker process must know: whether its numbers are shared, who is beside it, and that it was forked off.

Several processes share their numbers through prometheus-client's multiprocess mode: files in the directory
that PROMETHEUS_MULTIPROC_DIR names. https://prometheus.github.io/client_python/multiprocess/
"""

from __future__ import annotations

import logging
import multiprocessing
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
"""This process, also after a fork. Asking the system every time would cost a call as much as an addition."""

forked = False
"""Whether this process was forked off one that had this module already."""

_listeners: list[WeakMethod[Callable[[], None]]] = []


def on_fork(listener: Callable[[], None]) -> None:
    """Have a bound method called in every process that is forked off this one, as long as its object lives."""
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
    """Whether prometheus-client keeps the numbers of this process in shared files."""
    return getattr(values.ValueClass, "_multiprocess", False)


def multiprocess() -> bool:
    """The same, at the start of a meter. Raises `ConfigError` for a directory that is no use."""
    directory = os.environ.get(VARIABLE)
    if directory is None:
        if shared():
            raise ConfigError(f"{VARIABLE} was set when prometheus_client was imported, and is no more: keep it set")
        return False
    if found := fault():
        raise ConfigError(found)
    if not shared():
        log.warning(
            "%s was set after prometheus_client was imported, which is too late: this process shares no numbers. "
            "Set it in the environment that the server is started in",
            VARIABLE,
        )
    _tell_stale(directory)
    return shared()


def fault() -> str | None:
    """What is wrong with the directory that this process is given, or None."""
    directory = os.environ.get(VARIABLE, "")
    found = unusable(directory)
    return found and f"{VARIABLE}={directory!r} {found}"


def unusable(directory: str) -> str | None:
    """What is wrong with a multiprocess directory and what to do, or None."""
    if not directory:
        return "is set to nothing: name an empty directory, or unset it where there is one process"
    path = Path(directory)
    if not path.is_dir():
        there = path.exists()
        return "is not a directory: name one" if there else "does not exist: make it, empty, before the server starts"
    try:
        with tempfile.TemporaryFile(dir=directory):
            return None
    except OSError as exc:
        return f"cannot be written to ({exc.strerror}): give it to the user that the server runs as"


def _tell_stale(directory: str) -> None:
    """Say so where everybody who has written here is gone: a run before this one."""
    owners = {owner for _, owner in files(directory)} - {pid}
    if owners and not any(map(alive, owners)):
        log.warning(
            "%s=%r holds the numbers of %d processes that are gone, and they are counted on: "
            "empty it before the server starts, and its counters begin at 0",
            VARIABLE,
            directory,
            len(owners),
        )


def files(directory: str, pattern: str = "*_*.db") -> Iterator[tuple[Path, int]]:
    """The files of a multiprocess directory, each with the process that wrote it."""
    for path in Path(directory).glob(pattern):
        owner = path.stem.rpartition("_")[2]
        if owner.isdigit():
            yield path, int(owner)


def alive(process: int) -> bool:
    """Whether there is such a process. Where the system cannot be asked, there is."""
    if os.name == "nt":
        # a signal of 0 would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def sweep(directory: str) -> None:
    """Remove what dead processes have left of the gauges that only the living have."""
    for path, owner in files(directory, "gauge_live*_*.db"):
        if not alive(owner):
            # whoever may only read here leaves it to those who write
            with suppress(OSError):
                path.unlink()


def alone() -> str | None:
    """What to say in a worker process whose numbers no other worker shares; None where it has no siblings."""
    server = os.environ.get("SERVER_SOFTWARE", "")
    if not (forked or multiprocessing.parent_process() or server.startswith("gunicorn/")):
        return None
    siblings = _siblings()
    if siblings is not None and siblings < 2:
        return None
    return (
        f"this is one of several worker processes, and {VARIABLE} is not set: each counts for itself, and a scrape "
        f"reads one of them by chance. Set {VARIABLE} to an empty directory before the server starts, and serve "
        "meter.asgi_app() or meter.wsgi_app()"
    )


def _siblings() -> int | None:
    """How many processes our parent has that run what we run; None where the system does not say."""
    parent, found = os.getppid(), 0
    try:
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                # pid (name) state ppid: the name may hold anything
                fields: Any = stat.read_text().rpartition(")")[2].split()
                found += int(fields[1]) == parent and b"resource_tracker" not in (stat.parent / "cmdline").read_bytes()
            except (OSError, ValueError, IndexError):
                continue
    except OSError:
        return None
    return found or None
