"""Observes every finished call and its owner, lists the meters, and meters calls that no other meter counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from llmmetrics.core import engine, record
from llmmetrics.core.engine import Engine, HasEngine
from llmmetrics.core.record import CallRecord
from llmmetrics.instrumentation.process_wide import Doors
from llmmetrics.system.process_lock import ProcessLock

_lock = ProcessLock()


@contextmanager
def observe(callback: Callable[[CallRecord], None]) -> Iterator[None]:
    """Call `callback` with every call that finishes inside the block, on the thread that finishes it.

    Its exceptions are swallowed and counted, like any error inside a meter.
    """

    # a new wrapper each time, so that the same callback may be registered twice
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
    """Set the owner of the calls that begin from now on, on any thread; return the previous owner.

    A call's record has the `owner` at its beginning, even if the call ends much later.
    """
    before, record.owner = record.owner, owner
    return before


def meters() -> list[Engine]:
    """List every meter of this process that is not closed."""
    return list(engine.alive)


@contextmanager
def metering(meter: HasEngine) -> Iterator[None]:
    """Meter, inside the block, every call through the libraries that `instrument` meters, that no other meter counts.

    Unlike `llmmetrics.instrument`, it does not disturb the code under test, which may instrument the process with its
    own meter at the same time: that meter counts its calls, and this one counts the rest.
    """
    doors = Doors(beneath=True)
    doors.open(meter.engine)
    try:
        yield
    finally:
        doors.shut()
