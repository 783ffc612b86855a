"""The rows of `ratios.py` that are about many series, many streams, and the import."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx2
from memory_wire import ASK, CHUNKS, URL, Memory, events, new_meter
from prometheus_client import CollectorRegistry, generate_latest

from llmmetrics import Meter

SERIES = 10_000
"""Samples of a scrape, at least."""
STREAMS = 2000
PACE = 0.5
"""Seconds between two chunks of a stream."""
PACED_CHUNKS = 6


class _Plain:
    """The same families, collected by prometheus-client alone."""

    def __init__(self, families) -> None:
        self.families = families

    def collect(self):
        for family in self.families._all.values():  # noqa: SLF001
            yield from family.collect()


def scrape(models: int = 100, backends: int = 4) -> tuple[str, float]:
    """Measure a scrape, as a ratio to that of prometheus-client for the same samples."""
    settings = {"Backends": [{"Name": f"b{n}", "Type": "OpenAI"} for n in range(backends)]}
    meter = Meter.from_settings(settings, registry=CollectorRegistry())
    for backend in range(backends):
        for model in range(models):
            meter.engine.families.series(f"b{backend}", f"model-{model}", None)
    plain = CollectorRegistry()
    plain.register(_Plain(meter.engine.families))
    times: dict[CollectorRegistry, list[float]] = {meter.engine.registry: [], plain: []}
    for _ in range(5):
        for registry, taken in times.items():
            start = time.perf_counter()
            text = generate_latest(registry)
            taken.append(time.perf_counter() - start)
    assert text.count(b"\n") > SERIES
    ours, theirs = map(min, times.values())
    return "scrape of 10,000 series, to prometheus-client's", ours / theirs


class _Paced(Memory):
    """Streams whose chunks come one after the other, at a pace."""

    async def handle_async_request(self, _request):
        async def chunks():
            for chunk in self.chunks[-PACED_CHUNKS:]:
                await asyncio.sleep(PACE)
                yield chunk

        return httpx2.Response(200, stream=_Stream(chunks))


class _Stream(httpx2.AsyncByteStream):
    def __init__(self, chunks) -> None:
        self.chunks = chunks

    def __aiter__(self):
        return self.chunks()


async def _delays(transport) -> list[float]:
    """Return how late the event loop was, in seconds, while 2,000 streams were open."""
    async with httpx2.AsyncClient(transport=transport) as client:

        async def one(delay: float) -> None:
            await asyncio.sleep(delay)
            async with client.stream("POST", URL, json={**ASK, "stream": True}) as response:
                async for _ in response.aiter_raw():
                    pass

        late: list[float] = []

        async def watch() -> None:
            while True:
                start = time.perf_counter()
                await asyncio.sleep(0.002)
                late.append(time.perf_counter() - start - 0.002)

        watching = asyncio.create_task(watch())
        await asyncio.gather(*(one(n * 4 * PACE / STREAMS) for n in range(STREAMS)))
        watching.cancel()
        return late


def streams(rounds: int = 8) -> tuple[str, float]:
    """Measure the event loop's delay with 2,000 streams, as a ratio to that without metering.

    99th percentiles of all rounds together: that of one round differs from the next by a fifth.
    """
    meter = new_meter()
    delays: dict[bool, list[float]] = {False: [], True: []}
    for n in range(rounds):
        for metered in (n % 2 == 0, n % 2 == 1):
            inner = _Paced(events())
            transport = meter.async_transport(inner, backend="b") if metered else inner
            delays[metered] += asyncio.run(_delays(transport))
    plain, ours = (statistics.quantiles(each, n=100)[98] for each in delays.values())
    return "delay of the event loop, 2,000 streams", ours / plain


_IMPORT = """
import resource
from time import process_time
import openai
memory, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, process_time()
import llmmetrics
print(process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory)
"""


def imports(rounds: int = 7) -> Iterator[tuple[str, float]]:
    """Measure the import of llmmetrics after that of openai: milliseconds and MB."""
    runs = []
    # as on a user's machine: with compiled modules
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(rounds):
        run = subprocess.run(  # noqa: S603 - this very Python
            [sys.executable, "-c", _IMPORT], env=environ, check=True, capture_output=True, text=True
        )
        runs.append([float(each) for each in run.stdout.split()])
    seconds, kilobytes = (min(each) for each in zip(*runs, strict=True))
    yield "import over openai, ms", seconds * 1e3
    yield "import over openai, MB", kilobytes / 1024


def rows() -> Iterator[tuple[str, float]]:
    """Yield every row."""
    yield from imports()
    yield streams()


__all__ = ["CHUNKS", "imports", "rows", "scrape", "streams"]
