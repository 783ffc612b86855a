"""Every reader takes time in proportion to the size of what it reads, whatever somebody has written there.

Each shape of `hostile_shapes.toml` is read at one size and at twice that size. The exponent of a reader is the binary
logarithm of the quotient of the two times: 1 is linear, 2 is quadratic. A time is the least of several, of the CPU.
"""

from __future__ import annotations

import gc
import tomllib
from collections.abc import Callable
from math import log2
from pathlib import Path
from time import thread_time

import pytest

from llmmetrics import wire
from llmmetrics.pricing.price import Price
from llmmetrics.pricing.worst_case import worst_case
from llmmetrics.reading.endings import End
from llmmetrics.reading.exchange import see
from llmmetrics.reading.outcome import outcome_of
from llmmetrics.reading.stream_usage import Hider, asking
from llmmetrics.wire.estimation import estimate
from llmmetrics.wire.framing.body_buffer import HEAD, HELD, Body, BodyBuffer
from llmmetrics.wire.tiers import asked_tier

SHAPES = tomllib.loads((Path(__file__).parents[2] / "support" / "hostile_shapes.toml").read_text())
FORMATS = {format.id: format for format in wire.FORMATS}
CLAIM = wire.claim("POST", "api.openai.com", "/v1/chat/completions")
SIZE = HELD + 5000
"""Bytes. More than is held of a live body: below that, twice the size may be read in another way."""
DIGITS = 500_000
STEEPEST = 1.5
"""Between linear and quadratic."""
BRIEF = 0.001
"""Seconds. A time below is mostly not the reader's."""


def body(shape: dict[str, str], size: int) -> bytes:
    start, unit, end = (shape.get(part, "") for part in ("start", "unit", "end"))
    units = (unit.replace("{i}", f"{n:06}") for n in range(size // len(unit)))
    return (start + "".join(units) + end).encode()


def read(format: wire.Format, data: bytes) -> None:
    see(format, Body(b"", data, len(data)))


def read_torn(format: wire.Format, data: bytes) -> None:
    see(format, Body(data[:HEAD], data, len(data) + 2 * HEAD))


def read_torn_stream(format: wire.Format, data: bytes) -> None:
    see(format, Body(b"data: {}\n\n" * 100, data, len(data) + 2 * HEAD))


def follow(format: wire.Format, data: bytes) -> None:
    buffer = BodyBuffer()
    for at in range(0, len(data), 1000):
        buffer.feed(data[at : at + 1000])
    outcome_of(format, 200, buffer, b'{"model":"m"}', End.CLOSED, None, "m")


def follow_error(format: wire.Format, data: bytes) -> None:
    buffer = BodyBuffer()
    buffer.chunks.append(data)
    outcome_of(format, 500, buffer, b'{"model":"m"}', End.EXHAUSTED, None, "m")


def hide(_: wire.Format, data: bytes) -> None:
    hider = Hider()
    for at in range(0, len(data), 1000):
        hider.feed(data[at : at + 1000])
    hider.rest()


def estimate_completion(format: wire.Format, data: bytes) -> None:
    estimate.completion_tokens(Body(b"", data, len(data)), format)


def ask(_: wire.Format, data: bytes) -> None:
    assert CLAIM is not None
    wire.asked(CLAIM, data)


def estimate_prompt(format: wire.Format, data: bytes) -> None:
    estimate.prompt_tokens(data, format)


def bound(format: wire.Format, data: bytes) -> None:
    worst_case(Price({"input": 1, "output": 1}), format, data, 1000)


def tier(format: wire.Format, data: bytes) -> None:
    asked_tier(format, data)


def inject(_: wire.Format, data: bytes) -> None:
    asking(data)


Reader = Callable[[wire.Format, bytes], None]
READERS: dict[str, tuple[Reader, ...]] = {
    "answer": (read, read_torn, read_torn_stream, follow, follow_error, hide, estimate_completion),
    "request": (ask, estimate_prompt, bound, tier, inject),
}


def least_time(reader: Reader, format: wire.Format, data: bytes, rounds: int = 3) -> float:
    times = []
    for _ in range(rounds):
        start = thread_time()
        reader(format, data)
        times.append(thread_time() - start)
    return min(times)


def exponent(reader: Reader, format: wire.Format, once: bytes, twice: bytes) -> float:
    """Measure again, with more rounds, what seems steep: other programs may have disturbed it."""
    gc.disable()
    try:
        for rounds in (2, 5, 20):
            before, after = (least_time(reader, format, data, rounds) for data in (once, twice))
            steepness = log2(after / before) if after > BRIEF and before > 0 else 0.0
            if steepness < STEEPEST:
                break
        return steepness
    finally:
        gc.enable()


def test_the_measure_knows_a_quadratic_reader():
    def quadratic(_: wire.Format, data: bytes) -> None:
        for at in range(0, len(data), 20):
            bytes(data[at:])

    assert exponent(quadratic, FORMATS["openai.chat"], b"x" * SIZE, b"x" * 2 * SIZE) > STEEPEST


@pytest.mark.parametrize(
    ("kind", "shape"),
    [pytest.param(kind, shape, id=f"{kind}: {shape['name']}") for kind in READERS for shape in SHAPES[kind]],
)
def test_twice_the_bytes_take_twice_the_time(kind, shape):
    format = FORMATS[shape.get("api", "openai.chat")]
    size = DIGITS if "digits" in shape["name"] else SIZE
    once, twice = body(shape, size), body(shape, 2 * size)
    steep = {reader.__name__: exponent(reader, format, once, twice) for reader in READERS[kind]}
    print(", ".join(f"{name} {value:.2f}" for name, value in steep.items()))  # noqa: T201 - shown by `pytest -s`
    assert max(steep.values()) < STEEPEST, steep


def test_there_are_forty_shapes():
    assert sum(map(len, SHAPES.values())) >= 40
