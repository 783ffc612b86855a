"""What a budget books for an answer that comes later: pending without a lease, in the window of admission."""

from __future__ import annotations

import httpx
import pytest
from support.budget_setup import Setup

from llmmetrics import BudgetExceeded
from llmmetrics.budgets.ledgers import open_ledger
from llmmetrics.errors import LedgerError

BASE = "https://api.openai.com/v1/responses"


def response(status, id="resp_1", tokens=None):
    usage = None if tokens is None else {"input_tokens": 5, "output_tokens": tokens, "total_tokens": 5 + tokens}
    return {"id": id, "object": "response", "model": "m", "status": status, "background": True, "usage": usage}


class Later(Setup):
    """A completion token costs $1: `most` is the worst case of a call."""

    def __init__(self, limit="10", **more):
        self.polled = response("completed", tokens=3)
        self.asked = 0
        super().__init__(limit, answer=self.provide, **{"Mode": "strict", **more})

    def provide(self, request):
        if request.method == "GET":
            return httpx.Response(200, json={**self.polled, "id": request.url.path.rpartition("/")[2]})
        self.asked += 1
        return httpx.Response(200, json=response("queued", f"resp_{self.asked}"))

    def ask(self, most=5):
        return self.client.post(BASE, json={"model": "m", "background": True, "max_output_tokens": most})

    def fetch(self, number=1):
        return self.client.get(f"{BASE}/resp_{number}")

    def booked(self, basis):
        return self.value("llmmetrics_budget_booked_usd", backend="b", basis=basis)

    @property
    def pending(self):
        return self.value("llmmetrics_pending_answers", backend="b")


@pytest.fixture
def setup(tmp_path):
    setup = Later(ledger=f"sqlite:///{tmp_path}/ledger.db")
    yield setup
    setup.meter.close()


def test_the_worst_case_is_booked_until_it_is_fetched(setup):
    setup.ask()
    assert (setup.spent, setup.booked("pending"), setup.pending) == (5, 5, 1)
    with pytest.raises(BudgetExceeded):
        setup.ask(most=6)
    setup.fetch()
    assert (setup.spent, setup.booked("pending"), setup.booked("known"), setup.pending) == (3, 0, 3, 0)
    setup.ask(most=6)
    assert setup.spent == 9


def test_it_has_no_lease(setup):
    setup.ask()
    setup.clock.advance(hours=5)
    assert (setup.spent, setup.booked("pending")) == (5, 5)
    assert not setup.value("llmmetrics_reservations_expired_total")


def test_it_belongs_to_the_window_of_its_call(setup):
    setup.ask()
    setup.clock.advance(days=1)
    assert setup.spent == 0
    setup.fetch()
    assert setup.spent == 0
    setup.clock.advance(days=-1)
    assert setup.spent == 3


def test_what_has_failed_is_released(setup):
    setup.ask()
    setup.polled = response("failed")
    setup.fetch()
    assert (setup.spent, setup.pending) == (0, 0)


@pytest.mark.parametrize("state", ["cancelled", "completed"])
def test_without_usage_it_stays_a_worst_case(setup, state):
    setup.ask()
    setup.polled = response(state)
    setup.fetch()
    assert (setup.spent, setup.booked("worst_case"), setup.pending) == (5, 5, 0)


def test_fetching_is_never_refused(setup):
    setup.ask(most=10)
    setup.polled = response("completed", tokens=10)
    setup.fetch()
    with pytest.raises(BudgetExceeded):
        setup.ask(most=1)
    assert setup.fetch().status_code == 200


def test_documented_books_an_estimate():
    setup = Later(Mode="documented", backend={"CostPerMillionInputTokens": 1_000_000})
    setup.client.post(BASE, json={"model": "m", "background": True, "input": "a word or two"})
    estimate = setup.spent
    assert 0 < estimate < 20
    assert setup.booked("pending") == estimate
    setup.fetch()
    assert setup.spent == 8
    setup.meter.close()


def test_documented_may_book_the_worst_case():
    setup = Later(Mode="documented", OnUnknownUsage="worst_case")
    setup.ask()
    assert setup.spent == 5
    setup.fetch()
    assert setup.spent == 3
    setup.meter.close()


def test_a_second_meter_on_the_ledger_fetches(setup, tmp_path):
    setup.ask()
    other = Later(ledger=f"sqlite:///{tmp_path}/ledger.db")
    assert other.pending == 1
    other.fetch()
    setup.fetch()
    assert (setup.spent, setup.pending) == (3, 0)
    assert other.value("llm_tokens_total", token_type="total") == 8
    assert setup.value("llm_tokens_total", token_type="total") == 0
    other.meter.close()


def test_a_ledger_without_a_limit_keeps_the_ids(tmp_path):
    ledger, unlimited = f"sqlite:///{tmp_path}/ledger.db", {"MaxSpendUsd": None}
    one, other = (Later(ledger=ledger, backend=unlimited) for _ in range(2))
    one.ask()
    assert other.pending == 1
    other.fetch()
    one.fetch()
    assert (one.pending, one.spent) == (0, None)
    assert [each.value("llm_tokens_total", token_type="total") for each in (one, other)] == [0, 8]
    one.meter.close()
    other.meter.close()


def test_files_and_marks_are_no_budgets(setup, tmp_path):
    setup.ask()
    setup.fetch()
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db", namespace="default")
    assert {row.key for row in ledger.history()} == {"b"}
    ledger.close()


def test_a_ledger_that_is_away_books_later(setup, monkeypatch):
    budget = setup.meter.engine.enforcer.budget

    def away(*_):
        raise LedgerError("away")

    with monkeypatch.context() as patch:
        patch.setattr(budget.ledger, "defer", away)
        patch.setattr(budget.ledger, "settle", away)
        setup.ask()
    setup.clock.advance(seconds=2)
    budget.recur()
    # no answer can replace what is booked without its id
    assert (setup.spent, setup.booked("worst_case"), setup.pending) == (5, 5, 0)
