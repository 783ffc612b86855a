"""Locks across a fork: a thread of the parent may hold one, and in the child nobody would ever release it.

prometheus-client leaves its own as they are, and every call of ours takes some of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from threading import Lock, get_ident
from typing import Any

from prometheus_client import values

_LOCK = type(Lock())

_PATIENCE = 1.0
"""Seconds. Whoever forks in a signal handler may hold the lock itself."""

_forking: set[int] = set()
"""The threads that are forking, and hold the shared lock meanwhile."""


def renew(things: Iterable[Any]) -> None:
    """Give each of these a new lock for the one that it has."""
    for thing in things:
        if isinstance(getattr(thing, "_lock", None), _LOCK):
            thing._lock = Lock()  # noqa: SLF001


def parts(family: Any) -> Iterator[Any]:
    """What of a family of prometheus-client has locks: itself, its children, their values."""
    for each in (family, *getattr(family, "_metrics", {}).values()):
        yield each
        yield from (getattr(each, name, None) for name in ("_value", "_sum"))
        yield from getattr(each, "_buckets", ())


def _shared() -> Any:
    """The cell with the one lock that all values of a process have in multiprocess mode, or None."""
    add: Any = values.ValueClass.inc
    return dict(zip(add.__code__.co_freevars, add.__closure__ or (), strict=True)).get("lock")


# its files, too, are closed by the child: none may be in the hands of another thread at the fork


def _before() -> None:
    if (cell := _shared()) and cell.cell_contents.acquire(timeout=_PATIENCE):
        _forking.add(get_ident())


def _after_in_parent() -> None:
    if get_ident() in _forking:
        _forking.discard(get_ident())
        _shared().cell_contents.release()


def _after_in_child() -> None:
    _forking.clear()
    if cell := _shared():
        cell.cell_contents = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
