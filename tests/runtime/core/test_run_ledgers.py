"""Runs and their ledger: what is booked while it is away, what is left of a run that is over, what is read of it."""

from __future__ import annotations

import gc
import json
import sqlite3

import httpx
import pytest
from support.meter_setup import no_other_meter
from support.run_setup import ANSWER, URL, Runs, refused
from support.servers import RedisServer, until

from llmmetrics import BudgetExceeded, spending, tags
from llmmetrics.errors import LedgerError

EACH = {"Tag": "tenant", "Value": "*", "MaxSpendUsd": 7, "SpendResetPeriod": "Daily"}


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'ledger.db'}"


def rows(url, table):
    with sqlite3.connect(url.removeprefix("sqlite:///")) as db:
        return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def collected(runs):
    gc.collect()
    runs.meter.engine.enforcer._recur()


# a ledger that is away


@pytest.fixture
def server(tmp_path):
    server = RedisServer(tmp_path)
    yield server
    server.kill()


@pytest.mark.parametrize(
    ("policy", "mode"), [("admit", "strict"), ("admit", "documented"), ("refuse", "shadow")], ids=str
)
def test_what_is_admitted_while_the_ledger_is_away_is_booked_when_it_is_back(server, policy, mode):
    runs = Runs(Budget={"Ledger": server.url, "OnLedgerError": policy})
    with spending(usd="100", mode=mode, name="job") as run:
        runs.call()
        server.kill()
        runs.call()
        runs.call()
        server.start()
        runs.clock.advance(seconds=2)
        runs.call()
        # Redis has lost the first one, which this process books again
        assert (run.spent, run.calls) == (12, 4)
    assert len(runs.sent) == 4


def test_refuse_refuses_while_the_ledger_is_away(server):
    runs = Runs(Budget={"Ledger": server.url})
    with spending(usd="100", name="job") as run:
        runs.call()
        server.kill()
        with pytest.raises(BudgetExceeded) as caught:
            runs.call()
        with pytest.raises(LedgerError):
            _ = run.spent
    assert (caught.value.reason, len(runs.sent)) == ("ledger", 1)


# what is left of a run


def test_a_job_that_opens_its_run_for_every_item_leaves_one_row(url):
    runs = Runs(Budget={"Ledger": url})
    for _ in range(30):
        with spending(usd="1000", calls=100, name="job") as run:
            runs.call()
    assert (run.spent, run.calls) == (90, 30)
    del run
    collected(runs)
    assert rows(url, "settled_ranges") == 0
    with spending(calls=30, name="job"):
        assert refused(runs.call).spent == 30


def test_a_stream_that_outlives_its_run_is_booked_before_the_run_is_forgotten(url, alone):
    body = json.dumps(ANSWER).encode()
    headers = {"content-type": "application/json"}
    runs = Runs(Budget={"Ledger": url}, answer=lambda _: httpx.Response(200, headers=headers, content=iter([body])))
    asked = runs.client.stream("POST", URL, json={"model": "m", "max_tokens": 3})
    with spending(usd="900000", name="job"):
        response = asked.__enter__()
    collected(runs)
    assert rows(url, "reservations") == 1
    response.read()
    asked.__exit__(None, None, None)
    del response, asked
    collected(runs)
    assert (rows(url, "reservations"), rows(url, "settled_ranges")) == (0, 0)
    with spending(usd="900000", name="job") as run:
        assert run.spent == 3


def test_the_limits_of_many_values_are_not_all_held(url, monkeypatch):
    monkeypatch.setattr("llmmetrics.budgets.tag_limits.MOST", 5)
    runs = Runs(Budget={"Ledger": url, "Mode": "strict"}, Attribution={"Keys": ["tenant"], "Limits": [EACH]})

    def call(tenant):
        with tags(tenant=tenant):
            runs.call()

    for turn in range(2):
        for number in range(20):
            call(f"t{number}")
        collected(runs)
        assert rows(url, "settled_ranges") <= 5, turn
    with pytest.raises(BudgetExceeded):
        call("t0")
    runs.clock.advance(days=1)
    call("t0")


# what is read of a run


alone = pytest.fixture(no_other_meter)


def test_a_run_is_read_of_no_ledger_in_a_process_with_several_meters(url, alone):
    runs, other = (Runs(Budget={"Ledger": url}) for _ in range(2))
    assert runs.meter is not other.meter
    with spending(usd="10", name="job") as run:
        assert (run.spent, run.calls) == (0, 0)


def test_a_named_run_is_read_before_its_first_call(url, alone):
    before = Runs(Budget={"Ledger": url})
    with spending(usd="10", name="job"):
        before.call()
    before.meter.close()
    runs = Runs(Budget={"Ledger": url})
    with spending(usd="10", name="job") as run:
        assert (run.spent, run.remaining) == (3, 7)
        runs.call()
        assert run.spent == 6
    with spending(usd="10", name="never called", ttl=60) as run:
        assert run.spent == 0
    runs.clock.advance(seconds=61)
    runs.meter.engine.enforcer._recur()
    # the worker's thread may do it just now
    until(lambda: rows(url, "window_sums") == 1, "reading leaves nothing: one window")


# bounds


def test_a_run_of_calls_alone_needs_no_bound_and_no_price(monkeypatch):
    runs = Runs(backend={"ModelName": None, "CostPerMillionInputTokens": None, "CostPerMillionOutputTokens": None})
    monkeypatch.setattr(runs.meter.engine._gate._bounds, "worst", lambda _: pytest.fail("a bound was computed"))
    with spending(calls=1) as run, spending(usd="1", mode="shadow"):
        runs.call(model="no-such-model")
    assert run.calls == 1


def test_tokens_of_an_unknown_outcome_are_booked_at_the_worst_case():
    def answer(request):
        raise httpx.ReadTimeout("slow", request=request)

    runs = Runs(answer=answer)
    with spending(tokens=150) as run:
        with pytest.raises(httpx.ReadTimeout):
            runs.call()
        assert run.tokens == len(runs.sent[0].content) + 3
