"""One named run over many processes and two SDKs: the provider's own log never passes the limit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import SOAK
from support.servers import redis_server

from llmmetrics.budgets.ledgers import open_ledger
from llmmetrics.budgets.run_budget import ALWAYS
from llmmetrics.metrics.registry import PICO
from llmmetrics.system.boot import uptime
from llmmetrics.testing import faults, serve

PROGRAM = Path(__file__).parents[2] / "support/programs/run_worker.py"
COST = 16 * PICO // 1000
"""Of an answer of 8 tokens."""


@pytest.fixture(params=["sqlite", "redis"] if SOAK else ["sqlite"])
def ledger(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
    else:
        with redis_server(tmp_path) as server:
            yield server.url


@pytest.mark.parametrize("seed", range(10 if SOAK else 1))
def test_the_bill_of_a_run_over_processes_stays_within_its_limit(ledger, seed):
    processes = 8 if SOAK else 2
    with serve() as provider:
        steps = [faults.SERVER_ERROR, faults.RESET, faults.CUT, faults.RATE_LIMIT]
        provider.script(*steps * 2)
        arguments = [{"ledger": ledger, "url": provider.url, "seed": seed * 100 + each} for each in range(processes)]
        workers = [
            subprocess.Popen([sys.executable, PROGRAM, json.dumps(each)], stdout=subprocess.PIPE, text=True)
            for each in arguments
        ]
        assert [worker.communicate(timeout=120)[0] for worker in workers] == ["run"] * processes
        # what a fault cut off may have been billed whole; an error was not
        unbilled = sum(step in (faults.SERVER_ERROR, faults.RATE_LIMIT) for step in steps * 2)
        bill = (len(provider.requests) - unbilled) * COST
    balance = open_ledger(ledger, namespace="default", durability="normal").balance("run:usd:job", ALWAYS, uptime())
    assert bill <= PICO
    assert balance.spent >= bill
    assert balance.spent <= PICO
    assert balance.reserved == 0
