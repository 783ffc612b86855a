"""A spent budget and boto3: one refusal, at once, whatever botocore's retries; nothing is sent."""

from __future__ import annotations

from decimal import Decimal

import pytest
from botocore.exceptions import ClientError
from support.bedrock import ASKS, ask, client, drain, patient

from llmmetrics import BudgetExceeded, Meter, budget_exceeded

# what botocore leaves open is its own business
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def spent(registry, provider):
    """A meter whose backend has nothing left after one call."""
    meters = []

    def make(**budget):
        own = {"CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 2, "MaxSpendUsd": "0.000001"}
        backend = {"Name": "bedrock", "Type": "GenericOpenAI", "BaseUrl": provider.url, **own}
        settings = {"Backends": [backend], "Budget": {"Ledger": "memory://", **budget}}
        meters.append(Meter.from_settings(settings, registry=registry))
        return meters[-1]

    yield make
    for meter in meters:
        meter.close()


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
@pytest.mark.parametrize("how", [None, "respond", "raise"])
@pytest.mark.parametrize("operation", ASKS)
def test_one_refusal(operation, how, mode, spent, provider, count, monkeypatch):
    waits = patient(monkeypatch)
    meter = spent(**({"OnBudgetExceeded": how} if how else {}))
    made = meter.wrap(client(provider.url, retries={"mode": mode, "total_max_attempts": 4}))
    drain(ask(made, operation))
    kind = BudgetExceeded if how == "raise" else made.exceptions.ServiceQuotaExceededException
    with pytest.raises(kind) as caught:
        ask(made, operation)
    refused = budget_exceeded(caught.value)
    assert (refused.backend, refused.reason, refused.limit) == ("bedrock", "limit", Decimal("0.000001"))
    assert refused.spent > refused.limit
    if isinstance(caught.value, ClientError):
        answer = caught.value.response
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 402
        assert answer["ResponseMetadata"]["RetryAttempts"] == 0
        assert answer["Error"]["Message"] == str(refused)
    assert not waits
    assert len(provider.requests) == 1
    assert count("llmmetrics_budget_refusals_total") == 1
    assert count("llm_requests_total") == 1
    assert count("llm_active_requests") == 0


def test_another_error_is_no_refusal(spent, provider):
    from llmmetrics.testing import faults

    provider.script(faults.FORBIDDEN)
    with pytest.raises(ClientError) as caught:
        ask(spent().wrap(client(provider.url)), "converse")
    assert budget_exceeded(caught.value) is None
