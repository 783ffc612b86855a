"""What every test may use: the shared material, where it is there."""

from __future__ import annotations

import base64
import gzip
import json

import pytest
from support import shared


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
