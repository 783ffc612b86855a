"""The modes of budgets, and how a refusal reaches the caller."""

from __future__ import annotations

import httpx
import pytest
from support.budget_setup import ASK, START, URL

import llmmetrics
from llmmetrics import BudgetExceeded, budget_exceeded

# strict


def test_strict_reserves_the_worst_case_first(made):
    setup = made("10", Mode="strict")
    inside = []

    def answer(_):
        inside.append(setup.value("llm_backend_budget_usd", limit_type="current"))
        # seven are held: no more than three can be
        with pytest.raises(BudgetExceeded) as caught:
            setup.call(max_tokens=4)
        inside.append((caught.value.spent, caught.value.reserved))
        return httpx.Response(200, json={"model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 3}})

    setup.answer = answer
    setup.call(max_tokens=7)
    assert inside == [0, (0, 7)]
    assert setup.spent == 3
    setup.answer = None
    assert setup.call(max_tokens=7).status_code == 200


def test_strict_refuses_what_might_cost_too_much(made):
    setup = made("10", Mode="strict")
    with pytest.raises(BudgetExceeded):
        setup.call(max_tokens=11)
    # without a bound it is the model's maximum
    with pytest.raises(BudgetExceeded):
        setup.call()
    assert setup.sent == []
    assert setup.call(max_tokens=10).status_code == 200


# shadow


def test_shadow_refuses_nothing_and_counts_what_it_would(made):
    setup = made("3", Mode="shadow")
    for _ in range(3):
        setup.call()
    assert setup.spent == 9
    assert setup.refusals == {}
    assert setup.value("llmmetrics_budget_shadow_refusals_total", reason="limit") == 2
    assert setup.value("llm_backend_health", backend="b") == 1


# every door


@pytest.mark.parametrize("door", ["transport", "wrap", "instrument"])
def test_every_door_refuses(made, door):
    setup = made("3")
    inner = httpx.MockTransport(setup.reply)
    client = httpx.Client(transport=setup.meter.transport(inner) if door == "transport" else inner)
    if door == "wrap":
        setup.meter.wrap(client)
    if door == "instrument":
        llmmetrics.instrument(setup.meter)
    try:
        client.post(URL, json=ASK)
        with pytest.raises(BudgetExceeded):
            client.post(URL, json=ASK)
        answer = client.post(URL, json=ASK, headers={"x-stainless-lang": "python"})
    finally:
        llmmetrics.uninstrument()
    assert answer.status_code == 402
    assert answer.json()["error"]["code"] == "budget_exceeded"
    assert answer.headers["x-should-retry"] == "false"
    assert answer.request.url == URL
    assert len(setup.sent) == 1
    with pytest.raises(httpx.HTTPStatusError) as caught:
        answer.raise_for_status()
    assert budget_exceeded(caught.value).args == (
        "b",
        "limit",
        3,
        0,
        3,
        START.replace(hour=0, minute=0),
        START.replace(day=25, hour=0, minute=0),
        *(None, None, None, 0, None, "usd"),
    )


@pytest.mark.parametrize(("how", "sdk", "raises"), [("raise", True, True), ("respond", False, False)])
def test_how_a_refusal_reaches_the_caller_may_be_set(made, how, sdk, raises):
    setup = made("3", OnBudgetExceeded=how)
    setup.call()
    headers = {"user-agent": "OpenAI/Python 3.1"} if sdk else {}
    if raises:
        with pytest.raises(BudgetExceeded):
            setup.client.post(URL, json=ASK, headers=headers)
    else:
        assert setup.client.post(URL, json=ASK, headers=headers).status_code == 402


def test_another_exception_has_no_budget_behind_it():
    assert budget_exceeded(ValueError()) is None
    assert budget_exceeded(None) is None
