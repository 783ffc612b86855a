"""Runs whose ledger fails for a moment, whose process forks, or which begin in several processes at once."""

from __future__ import annotations

import os
import threading

import httpx
import pytest
from prometheus_client import CollectorRegistry
from support.budget_setup import PRICE, Clock
from support.run_setup import Runs, refused

from llmmetrics import Meter, spending
from llmmetrics.budgets.ledgers import open_ledger
from llmmetrics.budgets.run_budget import ALWAYS, MemoryRunLedger, RunBudget
from llmmetrics.core.context import current
from llmmetrics.errors import LedgerError

BASE = "https://api.openai.com/v1/responses"


def once(monkeypatch, owner, name, *, before=lambda: None):
    """Let the first call of a method do something else before."""
    real, first = getattr(owner, name), [before]

    def method(*arguments):
        if first:
            first.pop()()
        return real(*arguments)

    monkeypatch.setattr(owner, name, method)


def away():
    raise LedgerError("away for a moment")


class Background:
    """A meter whose answers come later: pending at $5, and then $3."""

    def __init__(self, tmp_path, **budget):
        self.asked, self.registry, self.clock = 0, CollectorRegistry(), Clock()
        self.meter = Meter.from_settings(
            {
                "Budget": {"Ledger": f"sqlite:///{tmp_path}/ledger.db", "Mode": "strict", **budget},
                "Backends": [{"Name": "b", "ModelName": "m", "MaxSpendUsd": 100, **PRICE}],
            },
            registry=self.registry,
            clock=self.clock,
        )
        self.client = httpx.Client(transport=self.meter.transport(httpx.MockTransport(self.reply)))
        self.ledger = self.meter.engine.enforcer.ledger

    def reply(self, request):
        done = request.method == "GET"
        self.asked += not done
        id = request.url.path.rpartition("/")[2] if done else f"resp_{self.asked}"
        usage = {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8} if done else None
        status = "completed" if done else "queued"
        body = {"id": id, "object": "response", "model": "m", "status": status, "background": True, "usage": usage}
        return httpx.Response(200, json=body)

    def ask(self):
        self.client.post(BASE, json={"model": "m", "background": True, "max_output_tokens": 5}).raise_for_status()

    def fetch(self):
        self.client.get(f"{BASE}/resp_{self.asked}")


def test_who_begins_a_run_first_forgets_nothing_of_those_who_come_next(tmp_path, monkeypatch):
    """The first process has noted the run, and another spends before it goes on."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    one, other = (Runs(Budget={"Ledger": url}) for _ in range(2))

    with spending(usd="6", name="job") as run:
        ledger = one.meter.engine.shared_runs()
        real = ledger._limits.guard.advance

        def advance(*arguments):
            before = real(*arguments)
            monkeypatch.undo()
            other.call()
            other.call()
            return before

        monkeypatch.setattr(ledger._limits.guard, "advance", advance)
        refused(one.call)
        assert run.spent == 6
    assert open_ledger(url, namespace="default").balance("run:usd:job", ALWAYS, 0.0).spent == 6 * 10**12


def test_the_end_of_a_run_is_noted_after_the_ledger_was_away(tmp_path, monkeypatch):
    setup = Background(tmp_path, OnLedgerError="admit")
    with spending(usd="50", name="job"):
        once(monkeypatch, setup.ledger, "advance", before=away)
        setup.ask()
        assert setup.ledger.marks("run-ends:") == {}
        # a ledger that fails is not asked again for a second
        setup.clock.advance(seconds=5)
        setup.ask()
        assert list(setup.ledger.marks("run-ends:")) == ["run-ends:job"]


def test_an_answer_is_counted_although_the_ledger_fails_when_its_run_is_settled(tmp_path, monkeypatch):
    setup = Background(tmp_path)
    with spending(usd="50", name="job") as run:
        setup.ask()
        advance, failed = setup.ledger.advance, []

        def fails_once(mark, to):
            if mark.startswith("run-ends:") and not failed:
                failed.append(mark)
                away()
            return advance(mark, to)

        monkeypatch.setattr(setup.ledger, "advance", fails_once)
        setup.fetch()
        assert failed
        assert setup.registry.get_sample_value("llm_estimated_cost_usd", {"backend": "b", "model": "m"}) == 3
        # a ledger that fails is not asked again for a second
        setup.clock.advance(seconds=5)
        assert run.spent == 3
    assert run.report()[0].known == 3


@pytest.mark.parametrize(("outer", "inner"), [("context", "process"), ("process", "context"), ("process", "process")])
def test_the_outer_limit_of_a_name_holds_whatever_the_scopes(tmp_path, outer, inner):
    setup = Runs(Budget={"Ledger": f"sqlite:///{tmp_path}/ledger.db"})
    with spending(calls=1, name="x", scope=outer) as run, spending(calls=5, name="x", scope=inner) as again:
        assert again is run
        setup.call()
        refused(setup.call)
        assert [row.calls for row in run.report()] == [1]
    assert current.get().runs == ()
    setup.call()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("lock", ["answers", "tags", "runs"])
def test_a_fork_while_another_thread_holds_a_lock(tmp_path, lock):
    from llmmetrics.budgets import run

    setup = Background(tmp_path)
    engine = setup.meter.engine
    locks = {"answers": engine.answers._runs._lock, "tags": engine._gate._tag_limits._lock, "runs": run._adding}
    held, go_on = threading.Event(), threading.Event()

    def hold():
        with locks[lock]:
            held.set()
            go_on.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)
    child = os.fork()
    if child == 0:
        import signal

        signal.alarm(30)
        with locks[lock]:
            os._exit(0)
    status = os.waitpid(child, 0)[1]
    go_on.set()
    thread.join()
    assert status == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_has_ids_of_its_own_also_while_the_ledger_is_away():
    budget = RunBudget("job", {"usd": 10**12}, MemoryRunLedger(), 60, strict=True)
    now = Clock().now()
    parent = budget.unreserved(now)[0].id
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writing, budget.unreserved(now)[0].id.owner.encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read() not in ("", parent.owner)


@pytest.mark.parametrize("limits", [{"usd": "3"}, {"tokens": 200}], ids=["usd", "tokens"])
def test_an_estimate_never_takes_a_run_past_its_limit(limits):
    """A stream that breaks off, with more text than `max_tokens` allows by the estimate."""

    class Broken(httpx.SyncByteStream):
        def __iter__(self):
            yield b'data: {"choices": [{"delta": {"content": "%s"}}]}\n\n' % (b"word " * 400)
            raise httpx.ReadError("reset")

    runs = Runs(answer=lambda _: httpx.Response(200, stream=Broken()))
    with spending(**limits) as run:
        with pytest.raises(httpx.ReadError):
            runs.call(stream=True)
        assert runs.value("llm_tokens_total", token_type="completion") > 300
        assert 0 < getattr(run, "spent" if "usd" in limits else "tokens") <= next(iter(map(int, limits.values())))
    (row,) = run.report()
    assert (row.estimated, row.worst_case) == (0, 3)
