"""The ledger's sums by tag: exact, over processes, and when the ledger was away."""

from __future__ import annotations

import signal

import httpx
import pytest
from prometheus_client import CollectorRegistry
from support.budget_setup import START, Clock
from support.forks import in_a_child
from support.servers import redis_server

from llmmetrics import Meter, tags
from llmmetrics.budgets.ledgers import open_ledger
from llmmetrics.budgets.tag_sums import day_of

URL = "https://api.openai.com/v1/chat/completions"
DAY = day_of(START)


class Tagging:
    """A meter at 7 attodollars a prompt token more than a third of a pico-dollar, so that single costs are uneven."""

    def __init__(self, ledger, **attribution):
        self.clock = Clock()
        own = {"CostPerMillionInputTokens": "0.000000333333", "CostPerMillionOutputTokens": 0}
        self.meter = Meter.from_settings(
            {
                "Attribution": {"Keys": ["tenant"], "MaxValues": 3, **attribution},
                "Budget": {"Ledger": ledger},
                "Backends": [{"Name": "b", "ModelName": "m", **own}],
            },
            registry=CollectorRegistry(),
            clock=self.clock,
        )
        answer = httpx.Response(200, json={"model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 0}})
        self.client = httpx.Client(transport=self.meter.transport(httpx.MockTransport(lambda _: answer)))

    def call(self, tenant):
        with tags(tenant=tenant):
            self.client.post(URL, json={"model": "m", "messages": []})

    def flush(self):
        self.meter.engine.enforcer.budget.recur()


@pytest.fixture(params=["sqlite", "redis"])
def ledger(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
    else:
        with redis_server(tmp_path) as server:
            yield server.url


def sums(ledger, first=DAY, last=DAY):
    return dict(open_ledger(ledger, namespace="default", durability="normal").tallies("tenant", first, last))


def test_the_sums_of_all_values_are_exact_over_processes(ledger):
    one, other = Tagging(ledger), Tagging(ledger)
    for process in (one, other):
        for number in range(30):
            process.call(f"t{number % 10}")
        process.flush()
        process.flush()
    # 6 calls of 5 tokens at a third of a pico-dollar, less a millionth; the rest of a pico-dollar waits in each process
    assert sums(ledger) == {f"t{number}": 2 * 4 for number in range(10)}


def test_what_is_below_a_pico_dollar_adds_up(ledger):
    process = Tagging(ledger)
    for _ in range(300):
        process.call("acme")
        process.flush()
    exact = 300 * 5 * 333_333
    assert sums(ledger) == {"acme": exact // 10**6}


def test_each_day_has_its_own_and_the_end_of_a_process_sends_the_rest(ledger):
    process = Tagging(ledger)
    process.call("acme")
    process.clock.advance(days=1)
    process.call("acme")
    process.call("acme")
    process.meter.close()
    assert sums(ledger) == {"acme": 1}
    assert sums(ledger, DAY + 1, DAY + 1) == {"acme": 3}
    assert sums(ledger, DAY, DAY + 31) == {"acme": 4}


def tallied(ledger):
    return list(open_ledger(ledger, namespace="default").marks("tally:"))


def test_a_process_that_ends_leaves_its_sums_alone(ledger):
    one, other = Tagging(ledger), Tagging(ledger)
    for process in (one, other):
        process.call("acme")
        process.flush()
    assert len(tallied(ledger)) == 2
    one.meter.close()
    assert len(tallied(ledger)) == 1
    other.meter.close()
    assert tallied(ledger) == []
    assert sums(ledger) == {"acme": 2}


def test_a_process_that_could_not_send_all_leaves_its_mark(tmp_path):
    """Another batch may be there although its answer did not come."""
    with redis_server(tmp_path) as server:
        process = Tagging(server.url)
        process.call("acme")
        process.flush()
        process.call("acme")
        process.call("acme")
        process.call("acme")
        server.process.send_signal(signal.SIGSTOP)
        process.flush()
        server.process.send_signal(signal.SIGCONT)
        # a ledger that fails is not asked again for a second, and the clock stands
        process.meter.close()
        assert len(tallied(server.url)) == 1


def test_a_ledger_that_was_away_gets_the_sums_later_and_once(tmp_path):
    with redis_server(tmp_path) as server:
        process = Tagging(server.url)
        process.call("acme")
        process.flush()
        server.process.send_signal(signal.SIGSTOP)
        for _ in range(3):
            process.call("acme")
        process.flush()
        server.process.send_signal(signal.SIGCONT)
        process.clock.advance(seconds=5)
        process.flush()
        process.flush()
        assert sums(server.url) == {"acme": 6}


def test_hashed_values_are_hashed_in_the_ledger(tmp_path):
    ledger = f"sqlite:///{tmp_path / 'ledger.db'}"
    process = Tagging(ledger, Hash=True)
    process.call("secret-tenant")
    process.flush()
    (value,) = sums(ledger)
    assert len(value) == 16
    assert b"secret-tenant" not in (tmp_path / "ledger.db").read_bytes()


@pytest.mark.parametrize("own_calls", [0, 1, 2])
def test_a_forked_process_sends_its_own_sums_and_none_of_its_parent(tmp_path, own_calls):
    ledger = f"sqlite:///{tmp_path / 'ledger.db'}"
    process = Tagging(ledger)
    for _ in range(3):
        process.call("acme")

    def in_the_child() -> int:
        for _ in range(own_calls):
            process.call("umbrella")
        process.flush()
        return 0

    assert in_a_child(in_the_child) == 0
    process.flush()
    # 5 tokens at a third of a pico-dollar, less a millionth
    own = {"umbrella": {1: 1, 2: 3}[own_calls]} if own_calls else {}
    assert sums(ledger) == {"acme": 4, **own}
