"""Tells whether a thread is inside a run of the garbage collector, which may close an answer anywhere.

Such a thread may hold any lock: ours, one of prometheus-client, or one of logging.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from threading import get_ident

collecting: list[int] = []
"""The thread that collects garbage now, if any. Python runs one collection at a time."""


def collects() -> bool:
    """Return whether this thread is inside a run of the garbage collector."""
    return bool(collecting) and get_ident() in collecting


def _note(phase: str, _: Mapping[str, int]) -> None:
    if phase == "start":
        collecting.append(get_ident())
    else:
        collecting.clear()


gc.callbacks.append(_note)
