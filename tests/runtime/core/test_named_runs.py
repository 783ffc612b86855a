"""Runs with a name: kept in the meter's ledger, shared by meters, processes and nested blocks."""

from __future__ import annotations

import asyncio
import os
from contextvars import copy_context

import httpx
import pytest
from prometheus_client import CollectorRegistry
from support.budget_setup import PRICE, URL, Clock
from support.servers import redis_server, until

from llmmetrics import BudgetExceeded, Meter, spending
from llmmetrics.budgets.ledgers import open_ledger


@pytest.fixture(params=["sqlite", "redis"])
def ledger(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
    else:
        with redis_server(tmp_path) as server:
            yield server.url


class Process:
    """A meter of its own, as another process has it: $3 and 8 tokens a call."""

    def __init__(self, ledger, *, limit=None, **budget):
        own = {"MaxSpendUsd": limit} if limit else {}
        self.clock, self.sent = Clock(), 0
        self.meter = Meter.from_settings(
            {"Budget": {"Ledger": ledger, **budget}, "Backends": [{"Name": "b", "ModelName": "m", **PRICE, **own}]},
            registry=CollectorRegistry(),
            clock=self.clock,
        )
        self.client = httpx.Client(transport=self.meter.transport(httpx.MockTransport(self.reply)))

    def reply(self, _):
        self.sent += 1
        return httpx.Response(200, json={"model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 3}})

    def call(self):
        return self.client.post(URL, json={"model": "m", "messages": [], "max_tokens": 3})


def test_two_processes_share_a_run(ledger):
    one, other = Process(ledger), Process(ledger, limit=100)
    with spending(usd="10", calls=3, name="job") as run:
        one.call()
        with spending(usd="10", calls=3, name="job") as again:
            other.call()
        one.call()
        assert (run.spent, run.calls, run.remaining) == (9, 3, 1)
        assert again.spent == 9
        with pytest.raises(BudgetExceeded) as caught:
            other.call()
    assert (caught.value.reason, caught.value.run, caught.value.unit) == ("run", "job", "usd")
    one.meter.close()
    third = Process(ledger)
    with spending(usd="10", name="job"), pytest.raises(BudgetExceeded):
        third.call()
    with spending(usd="10", name="another job"):
        third.call()


def test_a_name_that_is_nested_in_itself_holds_once(ledger):
    process = Process(ledger)
    with spending(usd="7", name="job") as run, spending(usd="7", name="job"):
        process.call()
        process.call()
    assert run.spent == 6


@pytest.mark.parametrize("scopes", [("process", "process"), ("context", "process"), ("process", "context")])
def test_the_outer_of_two_blocks_of_a_name_may_end_first(ledger, scopes):
    process = Process(ledger)
    first, second = (spending(calls=2, name="job", scope=each) for each in scopes)
    outside = copy_context()
    outside.run(first.__enter__)
    inside = outside.run(copy_context)
    run = inside.run(second.__enter__)
    inside.run(process.call)
    outside.run(first.__exit__, None, None, None)
    inside.run(process.call)
    with pytest.raises(BudgetExceeded):
        inside.run(process.call)
    assert (run.spent, process.sent) == (6, 2)
    inside.run(second.__exit__, None, None, None)
    inside.run(process.call)
    assert process.sent == 3


def test_a_task_that_outlives_the_block_in_which_it_began(ledger):
    process = Process(ledger)

    async def task():
        with spending(calls=1, name="job"):
            begun.set()
            await ended.wait()
            process.call()
            with pytest.raises(BudgetExceeded):
                process.call()

    async def main():
        with spending(calls=1, name="job"):
            running = asyncio.create_task(task())
            await begun.wait()
        ended.set()
        await running

    begun, ended = asyncio.Event(), asyncio.Event()
    asyncio.run(main())
    assert process.sent == 1


def test_a_name_of_the_process_and_of_a_context_holds_once(ledger):
    process = Process(ledger)
    with spending(usd="7", name="job", scope="process"), spending(usd="7", name="job", scope="process") as run:
        process.call()
        with spending(usd="7", name="job"):
            process.call()
        assert (run.spent, process.sent) == (6, 2)


def test_a_ledger_that_cannot_be_opened_refuses_named_runs_alone(tmp_path):
    process = Process(f"sqlite:///{tmp_path}")
    with spending(usd="7", name="job"), pytest.raises(BudgetExceeded) as caught:
        process.call()
    assert caught.value.reason == "ledger"
    assert str(caught.value).startswith("refused: the ledger with the run 'job' cannot be reached")
    with spending(usd="7"):
        process.call()
    assert process.sent == 1


def test_admit_lets_calls_through_while_the_ledger_is_away(tmp_path):
    process = Process(f"sqlite:///{tmp_path}", OnLedgerError="admit")
    with spending(usd="7", name="job"):
        process.call()
    assert process.sent == 1


def test_the_run_of_a_meter_without_a_limit_is_booked_at_the_end(ledger):
    process = Process(ledger)
    with spending(name="job") as run:
        process.call()
    process.meter.close()
    other = Process(ledger)
    with spending(usd="4", name="job") as run:
        with pytest.raises(BudgetExceeded):
            other.call()
        assert run.spent == 3


def test_ten_thousand_runs_leave_nothing_in_the_ledger_after_their_time(tmp_path):
    ledger = f"sqlite:///{tmp_path / 'ledger.db'}"
    process = Process(ledger)
    for number in range(200):
        with spending(calls=5, name=f"job-{number}", ttl=60):
            process.call()
    with spending(calls=5, name="long", ttl=600):
        process.call()
    kept = open_ledger(ledger, namespace="default", durability="normal")
    assert len(kept.history()) == 2 * 201
    process.clock.advance(seconds=61)
    process.meter.engine.enforcer._recur()
    # the worker's thread may do it just now
    until(lambda: list(kept.marks("")) == ["run-ends:long"], "the ended runs are deleted")
    assert {row.key for row in kept.history()} == {"run:usd:long", "run:calls:long"}
    with spending(calls=1, name="job-7"):
        process.call()


def test_a_run_that_is_used_is_kept(tmp_path):
    process = Process(f"sqlite:///{tmp_path / 'ledger.db'}")
    for _ in range(4):
        with spending(calls=4, name="job", ttl=60) as run:
            process.call()
        process.clock.advance(seconds=40)
        process.meter.engine.enforcer._recur()
    assert run.calls == 4


def test_a_fork_shares_a_named_run(ledger, tmp_path):
    process = Process(ledger)
    with spending(usd="12", name="job") as run:
        process.call()
        if (pid := os.fork()) == 0:
            try:
                process.call()
                process.call()
                (tmp_path / "child").write_text(str(run.spent))
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert run.spent == 9
        process.call()
        with pytest.raises(BudgetExceeded):
            process.call()
    assert (tmp_path / "child").read_text() == "9"
