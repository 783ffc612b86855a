"""Counts the bytecodes of a call: a measure of the work in Python that no other program disturbs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from memory_wire import Block, Memory, answer, block, new_meter

CALLS = 64
"""Calls that are counted: as many as the registry gets at once."""


def _counted(run: Callable[[], object]) -> int:
    """Return how many bytecodes a function runs, with all that it calls."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(None)
    return count


def _of_a_call(calls: Block) -> float:
    # the first calls create series and routes
    calls(CALLS)
    return _counted(lambda: calls(CALLS)) / CALLS


def rows() -> Iterator[tuple[str, float]]:
    """Yield what metering adds to the bytecodes of a call, as a ratio to a bare one."""
    for asynchronous in (False, True):
        kind = "async" if asynchronous else "sync"
        bare = _of_a_call(block(Memory(answer(1400)), asynchronous=asynchronous))
        for name, limit in (("JSON call", None), ("call with a memory budget", 1_000_000)):
            meter = new_meter(limit)
            wrapped = (meter.async_transport if asynchronous else meter.transport)(Memory(answer(1400)), backend="b")
            metered = _of_a_call(block(wrapped, asynchronous=asynchronous))
            yield f"bytecodes of a {name}, {kind}", (metered - bare) / bare
