"""Renews locks after a fork: if a thread of the parent holds one, the child could never acquire it.

prometheus-client does not renew its own locks, and every call of ours needs some of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from threading import Lock, get_ident
from typing import Any

from prometheus_client import values

_LOCK = type(Lock())

_PATIENCE = 1.0
"""Seconds. A signal handler that forks may itself hold the lock."""

_forking: set[int] = set()
"""The threads that are forking, and hold the shared lock until the fork is done."""


def renew(things: Iterable[Any]) -> None:
    """Replace the lock of each of these objects."""
    for thing in things:
        if isinstance(getattr(thing, "_lock", None), _LOCK):
            thing._lock = Lock()  # noqa: SLF001


def parts(family: Any) -> Iterator[Any]:
    """Yield the parts of a prometheus-client family that have locks: itself, its children, their values."""
    for each in (family, *getattr(family, "_metrics", {}).values()):
        yield each
        yield from (getattr(each, name, None) for name in ("_value", "_sum"))
        yield from getattr(each, "_buckets", ())


def _shared() -> Any:
    """Return the cell with the lock that all values of a process share in multiprocess mode, or None."""
    add: Any = values.ValueClass.inc
    return dict(zip(add.__code__.co_freevars, add.__closure__ or (), strict=True)).get("lock")


# the child also closes the shared files: no other thread may use one during the fork


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
