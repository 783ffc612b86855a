"""What every test may use: the shared material, where it is there."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from functools import lru_cache

import httpx
import httpx2
import pytest
from hypothesis import HealthCheck, settings
from support import SOAK, shared

# a loaded machine is no reason to fail: nothing here asserts on the wall clock
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
    """The system's certificates are read once for all clients: it takes longer than what most tests do with them."""
    with pytest.MonkeyPatch.context() as patch:
        for library in (httpx, httpx2):
            name = f"{library.__name__}._transports.default.create_ssl_context"
            patch.setattr(name, lru_cache(library.create_ssl_context))
        yield


@pytest.fixture(scope="session", autouse=True)
def _inner_sessions() -> Iterator[None]:
    """A pytest that a test starts does not import Hypothesis: an eighth of the time of its start, more without bytecode."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest")
        # this session leaves bytecode of the libraries and of ours; of a test's own file, the next would be taken for it
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        yield


@pytest.fixture(scope="session")
def corpus() -> list[dict]:
    """Recorded exchanges of real providers, bodies as bytes."""
    with gzip.open(shared("corpus/dev.jsonl.gz"), "rt") as lines:
        rows = [json.loads(line) for line in lines]
    for row in rows:
        for side in ("request_body", "response_body"):
            row[side] = base64.b64decode(row.pop(f"{side}_b64") or "")
    return rows


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
