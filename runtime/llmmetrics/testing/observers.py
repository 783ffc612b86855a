"""Sees every finished call of the process, whose it is, and every meter; meters what nobody else does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from llmmetrics.core import engine, record
from llmmetrics.core.engine import Engine
from llmmetrics.core.record import CallRecord
from llmmetrics.instrumentation.process_wide import Doors, HasEngine

_lock = Lock()


@contextmanager
def observe(callback: Callable[[CallRecord], None]) -> Iterator[None]:
    """Have `callback` told of every call that finishes inside the block, on the thread that finishes it.

    What it raises is swallowed and counted, as any error inside a meter.
    """

    # a wrapper of its own, so that the same callback may be given twice
    def tell(finished: CallRecord) -> None:
        callback(finished)

    with _lock:
        record.observers = (*record.observers, tell)
    try:
        yield
    finally:
        with _lock:
            record.observers = tuple(each for each in record.observers if each is not tell)


def set_owner(owner: object) -> object:
    """Have the calls that begin from now on, on any thread, belong to this; gives what they belonged to before.

    A call's record says as `owner` what held when it began, however late it ends.
    """
    before, record.owner = record.owner, owner
    return before


def meters() -> list[Engine]:
    """Every meter of this process that is alive."""
    return list(engine.alive)


@contextmanager
def metering(meter: HasEngine) -> Iterator[None]:
    """Meter, inside the block, every call through httpx, httpx2 or boto3 that no other meter counts.

    Unlike `llmmetrics.instrument` it stays out of the way of the code under test, which may instrument the process
    with a meter of its own meanwhile: that one counts, and this one what is left.
    """
    doors = Doors(beneath=True)
    doors.open(meter.engine)
    try:
        yield
    finally:
        doors.shut()
