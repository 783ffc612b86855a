"""Spend alerts: once a window, and what a callback may do."""

from __future__ import annotations

import asyncio
import logging
import threading
from decimal import Decimal

import httpx
import pytest
from support.budget_setup import ASK, START, URL
from support.servers import redis_server, until

from llmmetrics import SpendAlert


@pytest.fixture
def redis(tmp_path):
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis", "--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


def test_alerts_are_given_once_a_window(made, caplog):
    told = []
    setup = made("10", SpendAlerts=[0.5, 0.8, 1.0], on_spend_alert=told.append)
    with caplog.at_level(logging.WARNING, "llmmetrics"):
        for _ in range(4):
            setup.call()
    until(lambda: len(told) == 3, "the alerts")
    assert [alert.share for alert in told] == [Decimal("0.5"), Decimal("0.8"), Decimal("1.0")]
    assert told[0] == SpendAlert(
        "b", Decimal("0.5"), 6, 10, START.replace(hour=0, minute=0), START.replace(day=25, hour=0, minute=0)
    )
    assert len([record for record in caplog.records if "has spent $" in record.getMessage()]) == 3
    setup.clock.advance(days=1)
    for _ in range(2):
        setup.call()
    until(lambda: len(told) == 4, "the next window's alert")


def test_a_hook_that_fails_harms_nobody(made):
    setup = made("10", SpendAlerts=[0.1], on_spend_alert=lambda _: 1 / 0)
    assert setup.call().status_code == 200
    assert setup.spent == 3
    assert setup.call().status_code == 200
    until(lambda: setup.value("llmmetrics_internal_errors_total", where="on_spend_alert") == 1, "the count")


@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_hook_may_make_metered_calls(made, redis, tmp_path, kind, asynchronous):
    answers = []

    async def ask():
        transport = setup.meter.async_transport(httpx.MockTransport(setup.reply))
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.post(URL, json=ASK)

    def hook(_):
        answers.append((asyncio.run(ask()) if asynchronous else setup.call()).status_code)

    ledger = redis.url if kind == "redis" else f"sqlite:///{tmp_path}/ledger.db"
    setup = made("100", ledger=ledger, SpendAlerts=[0.01], on_spend_alert=hook)
    asyncio.run(ask())
    until(lambda: answers == [200], "the hook's call")
    until(lambda: setup.spent == 6, "both bookings")


def test_a_hook_may_close_its_meter(made, redis):
    closed = []

    def hook(_):
        setup.meter.close()
        closed.append(True)

    setup = made("100", ledger=redis.url, SpendAlerts=[0.01], on_spend_alert=hook)
    setup.call()
    until(lambda: closed, "the end of the meter")


def test_a_hook_that_takes_long_holds_up_no_call(made):
    go_on = threading.Event()
    setup = made("100", SpendAlerts=[0.01], on_spend_alert=lambda _: go_on.wait(60))
    try:
        assert [setup.call().status_code for _ in range(3)] == [200] * 3
        assert setup.spent == 9
    finally:
        go_on.set()


def test_the_alerts_of_the_last_calls_are_told_before_the_end(made):
    told = []
    setup = made("100", SpendAlerts=[0.01, 0.02], on_spend_alert=told.append)
    setup.call()
    setup.meter.close()
    assert len(told) == 2
