"""Budgets hold against the provider's bill, whatever happens to calls, processes, clocks and ledgers.

More seeds: `PYTHONPATH=tests python -m support.chaos --seeds 200`.
"""

from __future__ import annotations

import os

import pytest
from support import SOAK, sampled
from support.chaos.__main__ import Runner, rows
from support.chaos.scenarios import SCENARIOS
from support.chaos.stores import mounts

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

FLEETS = {"sentinel", "sentinel2", "cluster"}


def _covers(row):
    """What the sample has at least once: each ledger in each mode, each kind of disturbance, each way to make calls."""
    scenario = SCENARIOS[row.name]
    return {(row.kind, row.mode), getattr(scenario.disturb, "__qualname__", None), *scenario.styles}


ROWS = sampled([row for row in rows(range(3 if SOAK else 1)) if SOAK or row.kind not in FLEETS], _covers)


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    runner = Runner(tmp_path_factory.mktemp("chaos"))
    yield runner
    runner.close()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name}, {row.kind}, {row.mode}, {row.seed}")
def test_the_budget_holds(run, row):
    if SCENARIOS[row.name].small_disk and not mounts():
        pytest.skip("needs root, to mount a file system: this process would fill the disk of this machine")
    result = run(row)
    assert result.calls > 0
    assert result.violations == []
