"""One budget, many processes: no race passes the limit, no kill loses or doubles a booking, no reset mixes windows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import SOAK
from support.servers import redis_server

from llmmetrics.metrics.registry import PICO

SPENDER = str(Path(__file__).parents[2] / "support/programs/spender.py")
COST = 3

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture(params=["sqlite", "redis"])
def ledger(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/ledger.db"
        return
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as server:
        yield server.url


def spend(what, tmp_path, **options):
    environ = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    command = [sys.executable, SPENDER, what, json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, done.stderr
    print(done.stdout)  # noqa: T201
    return json.loads(done.stdout)


CALLS = 500 if SOAK else 50


def test_strict_never_passes_the_limit_and_uses_it(ledger, tmp_path):
    """Eight processes, a limit that covers a third of their calls, each of which costs its worst case."""
    limit = 8 * CALLS
    found = spend("race", tmp_path, ledger=ledger, processes=8, calls=CALLS, limit=limit)
    assert found["most"] <= limit * PICO
    assert found["samples"] > 3
    assert found["reserved"] == 0
    assert (limit - COST) * PICO < found["spent"] <= limit * PICO


def test_strict_with_a_worst_case_of_ten_times_the_cost(ledger, tmp_path):
    # what is left when no worst case fits any more is less than 5 %
    limit = 8 * max(CALLS, 150)
    found = spend(
        "race", tmp_path, ledger=ledger, processes=8, calls=10 * CALLS, limit=limit, tokens=30, retry_until=0.95
    )
    assert found["most"] <= limit * PICO
    assert found["spent"] >= 0.95 * limit * PICO


def test_documented_overshoots_by_the_calls_in_flight_at_most(ledger, tmp_path):
    limit = 8 * CALLS
    found = spend("race", tmp_path, ledger=ledger, processes=8, calls=CALLS, limit=limit, mode="documented")
    assert limit * PICO <= found["spent"] < (limit + 8 * COST) * PICO


@pytest.mark.parametrize("durability", ["normal", "full"])
def test_kill_9_on_sqlite(tmp_path, durability):
    ledger = f"sqlite:///{tmp_path}/ledger.db"
    times = 200 if SOAK else 20
    found = spend("kills", tmp_path, ledger=ledger, limit=10**6, times=times, seed=9, lease=30, durability=durability)
    assert found["wrong"] == []
    assert found["spent"] > 0


def test_kill_9_against_redis(tmp_path):
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as server:
        found = spend("kills", tmp_path, ledger=server.url, limit=10**6, times=200 if SOAK else 20, seed=9, lease=30)
    assert found["wrong"] == []
    assert found["spent"] > 0


def test_a_reset_that_eight_processes_call_through(ledger, tmp_path):
    found = spend("boundary", tmp_path, ledger=ledger, limit=10**6, processes=8, calls=CALLS)
    assert found["booked"] == found["made"]
