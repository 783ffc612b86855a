"""A hundred thousand tenants, a tenth of them in `make test`: few series, and sums that are exact to the last unit."""

from __future__ import annotations

import random

import pytest
from prometheus_client import CollectorRegistry
from support import SOAK
from support.budget_setup import START, Clock

from llmmetrics import Meter
from llmmetrics.budgets.tag_sums import ATTO, day_of
from llmmetrics.wire.usage import Usage

TENANTS = 100_000 if SOAK else 10_000
MOST = 50


@pytest.mark.parametrize("kind", ["sqlite", "memory"] if SOAK else ["sqlite"])
def test_many_tenants(kind, tmp_path):
    url = "memory://" if kind == "memory" else f"sqlite:///{tmp_path / 'ledger.db'}"
    registry, clock, chance = CollectorRegistry(), Clock(), random.Random(0)
    attribution = {"Keys": ["tenant", "plan"], "MaxValues": MOST}
    meter = Meter.from_settings(
        {"Budget": {"Ledger": url}, "Attribution": attribution, "Backends": [{"Name": "b"}]},
        registry=registry,
        clock=clock,
    )
    truth: dict[str, int] = {}
    for number in [*range(TENANTS), *(chance.randrange(TENANTS) for _ in range(TENANTS // 10))]:
        tenant, cost, tokens = f"tenant-{number}", chance.randrange(1, 10**18), chance.randrange(1, 1000)
        truth[tenant] = truth.get(tenant, 0) + cost
        tags = (("tenant", tenant), ("plan", f"plan-{number % 3}"))
        meter.engine.tag(tags, "b", Usage(tokens, 1, 0, {"input": tokens, "output": 1}), cost)
    series = [sample for family in registry.collect() for sample in family.samples if "tagged_cost" in sample.name]
    values = {key: {each.labels["value"] for each in series if each.labels["key"] == key} for key in ("tenant", "plan")}
    assert (len(values["tenant"]), len(values["plan"])) == (MOST + 1, 3)
    costs = {key: sum(each.value for each in series if each.labels["key"] == key) for key in values}
    assert costs["tenant"] == pytest.approx(sum(truth.values()) / 10**18)
    assert costs["plan"] == pytest.approx(costs["tenant"])
    ledger = meter.engine.enforcer.ledger
    meter.engine.enforcer.budget.tag_sums.flush(meter.engine.enforcer.budget.guard)
    sums = ledger.tallies("tenant", day_of(START), day_of(START))
    # less than a pico-dollar of each tenant waits in the process for its next call
    assert dict(sums) == {tenant: cost // ATTO for tenant, cost in truth.items() if cost >= ATTO}
    meter.close()
