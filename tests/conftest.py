"""What every test may use: the shared material, where it is there."""

from __future__ import annotations

import base64
import gzip
import json

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
