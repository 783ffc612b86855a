"""Calls that were sent and whose usage is not known: what they are booked at, and how that is shown and taken back."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal

import httpx
import pytest
from support.budget_setup import ASK, START, URL

from llmmetrics import BudgetExceeded
from llmmetrics.budgets.ledgers import Basis, open_ledger
from llmmetrics.metrics.registry import PICO
from llmmetrics.settings.windows import ResetPeriod, WindowSchedule

DAY = WindowSchedule(ResetPeriod.DAILY).window(START)


def fail(error):
    def answer(request):
        raise error("gone", request=request)

    return answer


def event(**fields):
    return b"data: %s\n\n" % json.dumps(fields).encode()


def text(content):
    return event(choices=[{"delta": {"content": content}}])


class Broken(httpx.SyncByteStream):
    def __init__(self, *events):
        self.events = events

    def __iter__(self):
        yield from self.events
        raise httpx.ReadError("reset")


def cut(_):
    return httpx.Response(200, stream=Broken(text("12")))


def booked(setup):
    return {basis.value: setup.value("llmmetrics_budget_booked_usd", basis=basis.value) for basis in Basis}


OUTCOMES = {
    "timeout": fail(httpx.ReadTimeout),
    "reset": fail(httpx.ReadError),
    "cut before its headers": fail(httpx.RemoteProtocolError),
    "the request was half sent": fail(httpx.WriteTimeout),
    "cut": cut,
    "not its format": lambda _: httpx.Response(200, text="{{{"),
    "complete, without usage": lambda _: httpx.Response(200, json={"choices": [{"message": {"content": "12"}}]}),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_strict_holds_whatever_the_provider_bills(made, outcome):
    """Each call could be billed at its worst case, $4."""
    setup = made("10", Mode="strict", answer=OUTCOMES[outcome])
    for _ in range(2):
        with suppress(httpx.HTTPError):
            setup.call(max_tokens=4)
    for _ in range(118):
        with pytest.raises(BudgetExceeded) as caught:
            setup.call(max_tokens=4)
    assert caught.value.worst_case == 8
    assert "$8 of it are worst cases" in str(caught.value)
    assert "`llmmetrics budget release --unknown`" in str(caught.value)
    assert len(setup.sent) == 2
    assert setup.spent == 8
    assert booked(setup) == {"known": 0, "estimated": 0, "worst_case": 8, "pending": 0}
    # the counters keep the estimate
    assert setup.value("llm_estimated_cost_usd") < 8


COUNTED = event(choices=[], usage={"prompt_tokens": 1, "completion_tokens": 6, "total_tokens": 7})


@pytest.mark.parametrize(("read", "amount"), [((), 4), ((COUNTED,), 6)])
def test_an_estimate_is_no_reason_to_book_more_than_was_reserved(made, read, amount):
    """What the provider has counted is."""
    setup = made("10", Mode="strict", answer=lambda _: httpx.Response(200, stream=Broken(*read, text("word " * 40))))
    with pytest.raises(httpx.ReadError):
        setup.call(max_tokens=4, stream=True)
    assert setup.value("llm_estimated_cost_usd") > 4
    assert setup.spent == amount


def test_what_the_provider_has_counted_of_a_cut_answer_is_booked(made):
    """Anthropic counts the prompt first: here more than the worst case of a short one."""
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 900, "output_tokens": 1}}}
    own = {"Type": "Anthropic", "CostPerMillionInputTokens": 1_000_000, "CostPerMillionOutputTokens": 0}
    setup = made(
        "1000", Mode="strict", backend=own, answer=lambda _: httpx.Response(200, stream=Broken(event(**start)))
    )
    with pytest.raises(httpx.ReadError):
        setup.client.post("https://api.anthropic.com/v1/messages", json={**ASK, "stream": True, "max_tokens": 4})
    assert booked(setup)["worst_case"] == setup.spent == 900


def test_a_stream_that_is_closed_early_without_usage(made):
    setup = made("10", Mode="strict", answer=cut)
    request = setup.client.build_request("POST", URL, json={**ASK, "stream": True, "max_tokens": 4})
    setup.client.send(request, stream=True).close()
    assert booked(setup)["worst_case"] == 4


@pytest.mark.parametrize("outcome", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
def test_what_was_never_sent_costs_nothing(made, outcome):
    setup = made("10", Mode="strict", answer=fail(outcome))
    with pytest.raises(outcome):
        setup.call(max_tokens=4)
    assert (setup.spent, set(booked(setup).values())) == (0, {0})


@pytest.mark.parametrize(
    ("mode", "policy", "basis", "amount"),
    [
        ("strict", None, "worst_case", 9),
        ("strict", "estimate", "estimated", 2),
        ("documented", None, "estimated", 2),
        ("documented", "worst_case", "worst_case", 9),
        ("shadow", None, "estimated", 2),
    ],
)
def test_on_unknown_usage(made, mode, policy, basis, amount):
    setup = made("100", Mode=mode, answer=cut, **({"OnUnknownUsage": policy} if policy else {}))
    with pytest.raises(httpx.ReadError):
        setup.call(max_tokens=9, stream=True)
    assert booked(setup) == {"known": 0, "estimated": 0, "worst_case": 0, "pending": 0, basis: amount}


def test_a_known_call_is_known(made):
    setup = made("100", Mode="strict")
    setup.call(max_tokens=9)
    assert booked(setup) == {"known": 3, "estimated": 0, "worst_case": 0, "pending": 0}


def test_a_complete_answer_of_a_model_that_hides_nothing_has_a_token_a_byte_at_most(made):
    own = {"ModelName": "gpt-4o-mini"}
    body = {"choices": [{"message": {"content": "12"}}]}
    setup = made("20000", Mode="strict", backend=own, answer=lambda _: httpx.Response(200, json=body))
    answer = setup.call(model="gpt-4o-mini")
    assert booked(setup)["worst_case"] == len(answer.content)


# the worst case is usable


def reserved(setup, **call):
    with pytest.raises(BudgetExceeded) as caught:
        setup.call(**call)
    return caught.value.could_cost


def test_a_model_with_a_documented_maximum_and_no_limit_in_the_request(made):
    setup = made("1", Mode="strict", backend={"ModelName": None, "WorstOutputTokens": 5})
    assert reserved(setup, model="gpt-4o-mini") == 16_384
    assert reserved(setup, model="gpt-4o-mini", n=2) == 2 * 16_384
    assert reserved(setup, model="gpt-4o-mini", max_tokens=20) == 20


def test_a_model_without_one_has_the_backend_s(made):
    setup = made("1", Mode="strict", backend={"WorstOutputTokens": 5})
    assert reserved(setup) == 5
    assert reserved(setup, max_tokens=7) == 7
    assert reserved(made("1", Mode="strict")) == 200_000


# taken back


def test_worst_cases_are_taken_back_and_calls_go_on(made, tmp_path):
    url = f"sqlite:///{tmp_path}/ledger.db"
    setup = made("10", Mode="strict", ledger=url, answer=fail(httpx.ReadTimeout))
    for _ in range(2):
        with pytest.raises(httpx.ReadTimeout):
            setup.call(max_tokens=4)
    setup.answer = None
    with pytest.raises(BudgetExceeded):
        setup.call(max_tokens=4)
    ledger = open_ledger(url, namespace="default")
    assert ledger.release("b", DAY, START, "alice") == 8 * PICO
    ledger.close()
    assert setup.call(max_tokens=4).status_code == 200
    assert setup.spent == 3
    assert setup.value("llmmetrics_ledger_errors_total", kind="shrank") == 0


# alerts


def test_an_alert_comes_once_a_window_over_all_processes(made, tmp_path):
    told = []
    one, other = (
        made("10", ledger=f"sqlite:///{tmp_path}/ledger.db", SpendAlerts=[0.2, 0.5], on_spend_alert=told.append)
        for _ in range(2)
    )
    for setup in (one, other, other, one):
        setup.call()
    for setup in (one, other):
        setup.meter.close()
    assert [(each.share, each.spent) for each in told] == [(Decimal("0.2"), 3), (Decimal("0.5"), 6)]


def test_an_alert_says_how_much_is_worst_case(made, caplog):
    told = []
    setup = made("10", Mode="strict", SpendAlerts=[0.2], on_spend_alert=told.append, answer=fail(httpx.ReadTimeout))
    with pytest.raises(httpx.ReadTimeout):
        setup.call(max_tokens=4)
    setup.meter.close()
    assert [(each.spent, each.worst_case) for each in told] == [(4, 4)]
    assert "'b' has spent $4 ($4 of it are worst cases), which is 20 % or more of its $10" in caplog.text
