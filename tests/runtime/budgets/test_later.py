"""Background answers and batches under one strict limit: many processes ask, others fetch, one is killed between."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import SOAK
from support.servers import redis_server

PROGRAM = str(Path(__file__).parents[2] / "support/programs/later_answers.py")
MICRO = 10**6
"""Pico-dollars in a micro-dollar."""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture(params=["sqlite", "redis"] if SOAK else ["sqlite"])
def ledger(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/ledger.db"
        return
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as server:
        yield server.url


@pytest.mark.parametrize("seed", range(5) if SOAK else [1])
def test_the_ledger_is_the_bill_once_all_is_fetched(ledger, tmp_path, seed):
    options = {"ledger": ledger, "limit": "2", "seed": seed, "requests": 100 if SOAK else 10}
    environ = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    command = [sys.executable, PROGRAM, json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(found)  # noqa: T201
    assert found["were_pending"] == found["asked"] > 5
    assert found["refused"] > 0
    assert 0 < found["bill"] <= 2 * MICRO
    assert found["before"] <= 2
    assert found["spent"] == found["bill"] * MICRO
    assert (found["reserved"], found["pending"], found["still_pending"]) == (0, 0, 0)
    assert 0 < found["fetched_tokens"] < found["bill_tokens"]
