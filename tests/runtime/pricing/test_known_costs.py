"""What a live call costs by its own answer: nothing, by a header, or nothing because it is no answer."""

from __future__ import annotations

from decimal import Decimal

import httpx
import pytest
from prometheus_client import CollectorRegistry

from llmmetrics import Meter
from llmmetrics.testing import observe

HOST = "https://gw.example"
OWN = {"CostPerMillionInputTokens": 3, "CostPerMillionOutputTokens": 15}
REFUSED = {
    "model": "claude-fable-5",
    "content": [],
    "stop_reason": "refusal",
    "usage": {"input_tokens": 1000, "output_tokens": 0},
}
ALIAS = {"model": "my-alias", "choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 0}}
LITELLM = {"x-litellm-response-cost": "0.0137"}


@pytest.fixture
def record_of():
    def call(path, answer, headers=(), **own):
        backends = [{"Name": "mine", "Type": "OpenAI", "BaseUrl": HOST, **own}] if own else []
        meter = Meter.from_settings({"Backends": backends}, registry=CollectorRegistry())
        transport = httpx.MockTransport(lambda _: httpx.Response(200, json=answer, headers=dict(headers)))
        records = []
        with httpx.Client(transport=meter.transport(transport)) as client, observe(records.append):
            client.post(f"{HOST}{path}", json={"model": answer.get("model", "m"), "messages": []})
        return records[0]

    return call


@pytest.mark.parametrize("own", [{}, OWN], ids=["catalogue", "own"])
@pytest.mark.parametrize("model", ["claude-fable-5", "no-such-model"])
def test_a_refusal_that_is_not_billed_costs_nothing_at_any_price(record_of, own, model):
    record = record_of("/v1/messages", {**REFUSED, "model": model}, **own)
    assert (record.status, record.cost_usd, record.usage.prompt) == ("success", 0, 1000)


@pytest.mark.parametrize(("own", "cost"), [({}, "0.0137"), (OWN, "0.003")], ids=["header", "own"])
def test_litellms_header_is_the_wires_word(record_of, own, cost):
    record = record_of("/v1/chat/completions", ALIAS, LITELLM, **own)
    assert record.cost_usd == Decimal(cost)


@pytest.mark.parametrize("answer", [{}, {"base_resp": {"status_code": 1008}}, {"error_code": 1, "error_msg": "x"}])
def test_what_is_no_answer_used_nothing(record_of, answer):
    record = record_of("/v1/chat/completions", answer, **OWN)
    assert (record.status, record.error_type, record.usage, record.cost_usd) == ("failure", "unknown", None, 0)
