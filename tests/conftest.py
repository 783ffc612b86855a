"""Fixtures for every test."""

from __future__ import annotations

import base64
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

import httpx
import httpx2
import pytest
from hypothesis import HealthCheck, settings
from support import SOAK, UNUSED, shared, without

# no test asserts on the wall clock: a busy machine must not fail a test
settings.register_profile(
    "ours",
    deadline=None,
    derandomize=not SOAK,
    max_examples=1000 if SOAK else 100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ours")


@pytest.fixture(scope="session", autouse=True)
def _certificates_once() -> Iterator[None]:
    """Read the system's certificates once for all clients: it takes longer than most tests."""
    with pytest.MonkeyPatch.context() as patch:
        for library in (httpx, httpx2):
            name = f"{library.__name__}._transports.default.create_ssl_context"
            patch.setattr(name, lru_cache(library.create_ssl_context))
        yield


@pytest.fixture(scope="session", autouse=True)
def _inner_sessions() -> Iterator[None]:
    """A pytest that a test starts does not import plugins that no such session uses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_ADDOPTS", without(*UNUSED))
        # this session leaves bytecode of the libraries and of ours; of a test's own file, the next would be taken for it
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the reasons of skips, each once: what this machine lacks, and how to get it."""
    # path, line and reason
    places = [report.longrepr for report in terminalreporter.getreports("skipped")]
    reasons = Counter(str(place[2]).removeprefix("Skipped: ") for place in places if place)
    if reasons:
        terminalreporter.section("skipped tests by reason")
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{count:5} {reason}")


@pytest.fixture(scope="session")
def corpus() -> list[dict]:
    """Load recorded exchanges of real providers, with bodies as bytes."""
    with gzip.open(shared("corpus/dev.jsonl.gz"), "rt") as lines:
        rows = [json.loads(line) for line in lines]
    for row in rows:
        for side in ("request_body", "response_body"):
            row[side] = base64.b64decode(row.pop(f"{side}_b64") or "")
    return rows


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
