"""Budgets of tags: of one value, or of each value, in windows, in the ledger of all processes."""

from __future__ import annotations

import httpx
import pytest
from prometheus_client import CollectorRegistry
from support.budget_setup import PRICE, START, URL, Clock

from llmmetrics import BudgetExceeded, ConfigError, Meter, spending, tags

EACH = {"Tag": "tenant", "Value": "*", "MaxSpendUsd": 7, "SpendResetPeriod": "Daily"}


class Tenants:
    """A meter at $3 a call, and at most $3 with `max_tokens` of 3."""

    def __init__(self, ledger, *limits, mode="strict", backend=(), **attribution):
        self.clock, self.registry, self.sent = Clock(), CollectorRegistry(), 0
        self.meter = Meter.from_settings(
            {
                "Attribution": {"Keys": ["tenant"], "Limits": list(limits), **attribution},
                "Budget": {"Ledger": ledger, "Mode": mode},
                "Backends": [{"Name": "b", "ModelName": "m", **PRICE, **dict(backend)}],
            },
            registry=self.registry,
            clock=self.clock,
        )
        self.client = httpx.Client(transport=self.meter.transport(httpx.MockTransport(self.reply)))

    def reply(self, _):
        self.sent += 1
        return httpx.Response(200, json={"model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 3}})

    def call(self, tenant):
        with tags(tenant=tenant):
            self.client.post(URL, json={"model": "m", "messages": [], "max_tokens": 3})

    def labels(self):
        return {
            value
            for family in self.registry.collect()
            for sample in family.samples
            if "tagged" not in sample.name
            for value in sample.labels.values()
        }


def test_each_value_has_a_budget_of_its_own(ledger):
    tenants = Tenants(ledger, EACH)
    for tenant in ("acme", "b"):
        tenants.call(tenant)
        tenants.call(tenant)
        with pytest.raises(BudgetExceeded) as caught:
            tenants.call(tenant)
        exceeded = caught.value
        assert (exceeded.backend, exceeded.reason, exceeded.spent, exceeded.limit) == (
            f"tenant={tenant}",
            "limit",
            6,
            7,
        )
        assert exceeded.resets_at == START.replace(day=25, hour=0, minute=0)
        assert f"'tenant={tenant}' has $1 left" in str(exceeded)
    assert tenants.sent == 4
    assert "tenant=acme" not in tenants.labels()
    tenants.clock.advance(days=1)
    tenants.call("acme")


def test_the_limit_of_a_tag_is_no_run(ledger):
    tenants = Tenants(ledger, EACH, RequireRun=True)
    with pytest.raises(BudgetExceeded) as caught:
        tenants.call("acme")
    assert caught.value.reason == "run"
    with spending():
        tenants.call("acme")
    assert tenants.sent == 1


def test_a_value_of_its_own_wins_over_the_template(ledger):
    tenants = Tenants(ledger, EACH, {**EACH, "Value": "big", "MaxSpendUsd": 12})
    for _ in range(4):
        tenants.call("big")
    with pytest.raises(BudgetExceeded):
        tenants.call("big")


def test_without_a_template_only_the_named_value_is_limited(ledger):
    tenants = Tenants(ledger, {**EACH, "Value": "free", "MaxSpendUsd": 3})
    tenants.call("free")
    with pytest.raises(BudgetExceeded):
        tenants.call("free")
    for _ in range(3):
        tenants.call("paying")
    tenants.client.post(URL, json={"model": "m", "messages": []})


def test_processes_share_it(tmp_path):
    ledger = f"sqlite:///{tmp_path / 'ledger.db'}"
    one, other = Tenants(ledger, EACH), Tenants(ledger, EACH)
    one.call("acme")
    other.call("acme")
    for each in (one, other):
        with pytest.raises(BudgetExceeded):
            each.call("acme")


def test_the_budget_of_the_backend_holds_as_well(ledger):
    tenants = Tenants(ledger, EACH, backend={"MaxSpendUsd": 9})
    for tenant in ("a", "b", "c"):
        tenants.call(tenant)
    with pytest.raises(BudgetExceeded) as caught:
        tenants.call("d")
    assert caught.value.backend == "b"
    # and gives the tag's reservation back
    tenants.meter.engine.enforcer.ledger.reset("b", tenants.meter.engine.enforcer.budget.lines["b"].window, START, "me")
    tenants.call("d")
    assert tenants.sent == 4


def test_documented_and_shadow_do_as_for_backends(ledger):
    tenants = Tenants(ledger, EACH, mode="documented")
    for _ in range(3):
        tenants.call("acme")
    with pytest.raises(BudgetExceeded):
        tenants.call("acme")
    shadow = Tenants("memory://", EACH, mode="shadow")
    for _ in range(5):
        shadow.call("acme")


def test_hashed_values_are_hashed_in_keys_and_refusals(ledger):
    tenants = Tenants(ledger, {**EACH, "Value": "secret-one", "MaxSpendUsd": 3}, Hash=True)
    tenants.call("secret-one")
    with pytest.raises(BudgetExceeded) as caught:
        tenants.call("secret-one")
    assert "secret-one" not in str(caught.value)


def test_a_limit_of_a_tag_that_is_not_counted_is_a_configuration_error():
    with pytest.raises(ConfigError, match="'user', which is not in Keys"):
        Tenants("memory://", {**EACH, "Tag": "user"})


def test_two_limits_for_one_value_are_a_configuration_error():
    with pytest.raises(ConfigError, match="two limits for the Tag 'tenant' and the Value '\\*'"):
        Tenants("memory://", EACH, EACH)
