"""A refusal has the provider's own shape of an error: each format brings it on its row."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest

from llmmetrics import budget_exceeded, wire
from llmmetrics.errors import BudgetExceeded
from llmmetrics.instrumentation import refusal
from llmmetrics.reading.error_types import ErrorType, error_in
from llmmetrics.settings.model import OnBudgetExceeded

FORMATS = {each.id: each for each in wire.FORMATS}
EXCEEDED = BudgetExceeded(
    "a backend", "limit", Decimal(3), Decimal(0), Decimal(2), datetime(2026, 1, 1, tzinfo=UTC), None
)


def answered(format):
    request = httpx.Request("POST", "https://a.example/")
    return refusal.answer(OnBudgetExceeded.RESPOND, httpx, request, format, EXCEEDED)


@pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)
def test_each_format_has_a_refusal(format):
    assert format.refusal is not None, f"{format.id} has no refusal: write the provider's JSON body of an error"
    answer = answered(format)
    assert answer.status_code == 402
    assert str(EXCEEDED) in str(answer.json())
    assert error_in(answer.status_code, answer.json()) is ErrorType.RATE_LIMIT


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("anthropic.messages", {"type": "error", "error": {"type": "billing_error", "message": str(EXCEEDED)}}),
        ("gemini.embed", {"error": {"code": 402, "message": str(EXCEEDED), "status": "RESOURCE_EXHAUSTED"}}),
        ("rerank", {"message": str(EXCEEDED)}),
        ("ollama.chat", {"error": str(EXCEEDED)}),
        (
            "watsonx.chat",
            {"errors": [{"code": "token_quota_reached", "message": str(EXCEEDED)}], "status_code": 402},
        ),
    ],
)
def test_the_body_is_the_provider_s_own(name, body):
    assert answered(FORMATS[name]).json() == body


def test_bedrock_names_the_error_in_a_header():
    for name in ("bedrock.converse", "bedrock.invoke", "aws-bedrock.count_tokens"):
        assert answered(FORMATS[name]).headers["x-amzn-errortype"] == "ServiceQuotaExceededException"


def test_a_format_without_a_refusal_has_openai_s():
    answer = answered(FORMATS["ollama.chat"]._replace(refusal=None))
    assert answer.json()["error"]["code"] == "budget_exceeded"
    error = httpx.HTTPStatusError("402", request=answer.request, response=answer)
    assert budget_exceeded(error).args == EXCEEDED.args
