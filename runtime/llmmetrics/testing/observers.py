"""Sees every finished call of the process, whichever meter counted it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from llmmetrics import call
from llmmetrics.call import CallRecord

_lock = Lock()


@contextmanager
def observe(callback: Callable[[CallRecord], None]) -> Iterator[None]:
    """Have `callback` told of every call that finishes inside the block, on the thread that finishes it.

    What it raises is swallowed and counted, as any error inside a meter.
    """

    # a wrapper of its own, so that the same callback may be given twice
    def tell(record: CallRecord) -> None:
        callback(record)

    with _lock:
        call.observers = (*call.observers, tell)
    try:
        yield
    finally:
        with _lock:
            call.observers = tuple(each for each in call.observers if each is not tell)
