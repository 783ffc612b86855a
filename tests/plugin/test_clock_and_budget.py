"""The fixtures `llm_clock` and `llm_budget`."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest
from prometheus_client import CollectorRegistry
from support.meter_setup import no_other_meter
from support.servers import redis_server

from llmmetrics import BudgetExceeded, ConfigError, Meter
from llmmetrics.system.clock import SystemClock
from pytest_llmmetrics import faults, usd
from pytest_llmmetrics.clock import ClockError

pytest_plugins = ["pytester"]
# what is read here are all living meters
_no_other_meter = pytest.fixture(autouse=True)(no_other_meter)
URL = "https://api.openai.com/v1/chat/completions"


@pytest.fixture
def llm_settings():
    prices = {"CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 1}
    return {"Backends": [{"Name": "b", "Type": "OpenAI", **prices}]}


@pytest.fixture
def ask(llm_meter, llm_provider):
    with httpx.Client(transport=llm_meter.transport(family="httpx")) as client:
        yield lambda: client.post(URL, json={"model": "m", "messages": []})


def test_the_clock_stands_still_once_it_is_moved(llm_clock):
    before, real = llm_clock.now, time.monotonic()
    assert llm_clock.set("2026-03-01T12:00:00+01:00") == datetime(2026, 3, 1, 11, tzinfo=UTC)
    assert datetime.now(UTC) == llm_clock.now == datetime(2026, 3, 1, 11, tzinfo=UTC)
    assert llm_clock.advance(90) - datetime(2026, 3, 1, 11, tzinfo=UTC) == timedelta(seconds=90)
    assert llm_clock.advance(days=1, hours=2).day == 2
    assert time.monotonic() > real
    llm_clock.stop()
    assert llm_clock.now >= before


def test_the_clock_of_leases_moves_forward_with_it(llm_clock):
    clock = SystemClock()
    before = clock.uptime()
    llm_clock.advance(hours=1)
    assert 3600 <= clock.uptime() - before < 3700
    llm_clock.advance(hours=-2)
    llm_clock.advance(minutes=1)
    assert 3660 <= clock.uptime() - before < 3760
    llm_clock.stop()
    assert 0 <= clock.uptime() - before < 100


def test_async_code_goes_on(llm_clock):
    async def main():
        llm_clock.set("2030-01-01T00:00:00+00:00")
        await asyncio.sleep(0.001)
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
        return datetime.now(UTC).year

    assert asyncio.run(main()) == 2030


def test_a_moment_without_a_zone_is_refused(llm_clock):
    with pytest.raises(ValueError, match=r'has no time zone: write "2026-01-01T00:00:00\+00:00" for UTC'):
        llm_clock.set("2026-01-01T00:00:00")


def test_a_meter_with_a_clock_of_its_own_cannot_be_moved(llm_clock):
    class Own:
        now = staticmethod(lambda: datetime.now(UTC))
        monotonic = staticmethod(time.monotonic)

    meter = Meter(registry=CollectorRegistry(), clock=Own())
    with pytest.raises(ClockError, match=r"a meter has a clock of its own .Own., which llm_clock cannot move"):
        llm_clock.advance(1)
    meter.close()


def test_freezegun_and_the_clock_do_not_mix(pytester):
    # the traces of freezegun, without freezegun
    pytester.makepyfile(
        """
        import sys, types, pytest
        @pytest.fixture
        def frozen(monkeypatch):
            module = types.ModuleType("freezegun.api")
            module.freeze_factories = [object()]
            monkeypatch.setitem(sys.modules, "freezegun.api", module)
        def test_it(frozen, llm_clock): pass
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(errors=1)
    assert "freezegun is active: use only one of llm_clock and freezegun in a test" in result.stdout.str()


@pytest.fixture(params=["memory", "sqlite", "redis"])
def llm_budget_ledger(request, tmp_path):
    if request.param != "redis":
        yield request.param
        return
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as server:
        yield server.url


def test_spent_refused_and_reset(llm_budget, llm_clock, llm_metrics, llm_provider, ask):
    llm_clock.set("2026-03-01T12:00:00+00:00")
    llm_budget.set("b", "0.00005", period="Hourly")
    llm_provider.replies("a", "b", prompt_tokens=20, completion_tokens=10)
    ask()
    assert (llm_budget.spent("b"), llm_budget.remaining("b")) == (usd("0.00003"), usd("0.00002"))
    assert llm_metrics.value("llm_backend_budget_usd", backend="b", limit_type="current") == 0.00003
    llm_budget.exhaust("b")
    assert llm_budget.remaining("b") == 0
    with pytest.raises(BudgetExceeded) as caught:
        ask()
    assert caught.value.resets_at == llm_clock.to_next_reset("b") == datetime(2026, 3, 1, 13, tzinfo=UTC)
    assert llm_metrics.value("llm_backend_budget_usd", limit_type="current") == 0
    ask()
    assert llm_metrics.attempts == 2


def test_a_limit_that_is_raised_keeps_what_was_spent(llm_budget, llm_provider, ask):
    llm_budget.set("b", "0.00003")
    llm_provider.replies("a", "b", prompt_tokens=20, completion_tokens=10)
    ask()
    with pytest.raises(BudgetExceeded):
        ask()
    llm_budget.set("b", "0.00004", mode="documented")
    assert llm_budget.spent("b") == usd("0.00003")
    ask()


def test_strict_holds_the_worst_case(llm_budget, llm_provider, llm_meter):
    llm_budget.set("b", "0.0001", mode="strict")
    with httpx.Client(transport=llm_meter.transport(family="httpx")) as client, pytest.raises(BudgetExceeded):
        client.post(URL, json={"model": "m", "messages": [], "max_tokens": 5000})


@pytest.mark.parametrize(
    ("set", "message"),
    [
        (("c", "1"), "no meter has a backend 'c': there are b"),
        (("b", 0.1), 'a float is not exact: write "0.1"'),
        (("b", "-1"), r"llm_budget.set\('b', '-1'\): max_spend_usd: should be greater than 0"),
        (("b", "1", "Dayly"), "spend_reset_period: should be 'Hourly', 'Daily'"),
    ],
)
def test_a_limit_that_cannot_be(llm_budget, llm_meter, set, message):
    backend, limit, *period = set
    with pytest.raises(ConfigError, match=message):
        llm_budget.set(backend, limit, period=period[0] if period else None)


def test_a_budget_before_there_is_a_meter(llm_budget, monkeypatch):
    monkeypatch.setattr("pytest_llmmetrics.budgets.meters", list)
    with pytest.raises(ConfigError, match="there is no meter yet"):
        llm_budget.set("b", "1")


def test_a_backend_without_a_limit(llm_budget, llm_clock, llm_meter):
    for act in (llm_budget.spent, llm_budget.exhaust, llm_clock.to_next_reset):
        with pytest.raises(ConfigError, match=r"\'b\' has no limit: .* first, as in llm_budget.set\(\'b\'"):
            act("b")
    llm_budget.set("b", "1", period="Never")
    with pytest.raises(ConfigError, match="the budget of 'b' is never reset"):
        llm_clock.to_next_reset("b")


def test_production_s_ledger_is_left_alone(tmp_path, monkeypatch, llm_provider):
    from pytest_llmmetrics.budgets import budgets

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    own = {"CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 1, "MaxSpendUsd": "0.01"}
    meter = Meter.from_settings({"Backends": [{"Name": "mine", **own}]}, registry=CollectorRegistry())
    before = meter.engine.enforcer
    llm_provider.reply("hi")
    with budgets("memory://") as budget:
        with httpx.Client(transport=meter.transport(family="httpx")) as client:
            client.post(URL, json={"model": "m", "messages": []})
        assert budget.spent("mine") == Decimal("0.00002")
    assert meter.engine.enforcer is before
    assert meter.engine.enforcer.ledger.history() == []
    meter.close()


def test_usd_is_exact():
    with pytest.raises(TypeError, match=r'a float is not exact; write it as text, usd\("0.1"\)'):
        usd(0.1)


@pytest.mark.parametrize("amount", ["abc", "0,01", None, "", [1]])
def test_usd_says_how_an_amount_is_written(amount):
    with pytest.raises(TypeError, match=r'write the amount as text with a point, such as usd\("0.01"\)'):
        usd(amount)


def test_a_fault_in_the_middle_of_a_stream_is_native(llm_provider, llm_metrics):
    for library in ("httpx", "httpx2"):
        module = pytest.importorskip(library)
        llm_provider.fail(faults.cut_after(2)).then.fail(faults.stall_after(1))
        for error in (module.RemoteProtocolError, module.ReadTimeout):
            with pytest.raises(error) as caught:
                module.post(URL, json={"model": "m", "stream": True})
            assert caught.value.request.url == URL
    assert llm_metrics.errors == {"network": 2, "timeout": 2}
