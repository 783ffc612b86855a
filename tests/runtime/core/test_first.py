"""Failover over the user's own calls: which backend answers, which are skipped, and what the metrics say."""

from __future__ import annotations

import asyncio
import json
from contextlib import nullcontext
from datetime import timedelta
from decimal import Decimal

import anthropic
import httpx
import openai
import pytest
from prometheus_client import CollectorRegistry
from support.budget_setup import START
from support.failover_setup import PRICE, Backends

import llmmetrics
from llmmetrics import ConfigError, Meter, NoBackendAvailable
from llmmetrics.testing import serve


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (429, "rate_limit"),
        (401, "auth"),
        (503, "api_error"),
        (httpx.ConnectError("refused"), "network"),
        (httpx.ReadTimeout("slow"), "timeout"),
    ],
)
def test_a_fault_of_the_backend_leads_to_the_next(fault, reason):
    backends = Backends()
    backends.answers["a"] = [fault]
    assert backends.first("a", "b") == "b"
    assert backends.sent == ["a", "b"]
    assert backends.steps == {("a", "b", reason): 1}
    assert backends.samples("llm_requests_total").keys() >= {("b", "m", "success")}


@pytest.mark.parametrize("status", [400, 404, 422])
def test_the_callers_own_mistake_is_raised(status):
    backends = Backends()
    backends.answers["a"] = [status]
    with pytest.raises(httpx.HTTPStatusError):
        backends.first("a", "b")
    assert (backends.sent, backends.steps) == (["a"], {})


@pytest.mark.parametrize("error", [ZeroDivisionError(), KeyboardInterrupt(), AssertionError()])
def test_an_exception_without_a_failed_request_is_raised(error):
    backends = Backends()

    def bug():
        backends.post("a")
        raise error

    with pytest.raises(type(error)):
        llmmetrics.first(("a", bug), ("b", lambda: backends.post("b")), meter=backends.meter)
    assert backends.sent == ["a"]


def test_a_spent_backend_is_skipped_until_its_reset():
    backends = Backends(a={"MaxSpendUsd": 3, "SpendResetPeriod": "Daily"})
    assert [backends.first("a", "b") for _ in range(3)] == ["a", "b", "b"]
    assert backends.steps == {("a", "b", "limit"): 2}
    assert backends.samples("llmmetrics_budget_refusals_total") == {}
    backends.clock.advance(hours=12)
    assert backends.first("a", "b") == "a"


def test_a_refused_reservation_leads_to_the_next_backend():
    backends = Backends(budget={"Mode": "strict"}, a={"MaxSpendUsd": 1}, b={"MaxSpendUsd": 9_000_000})
    assert backends.first("a", "b") == "b"
    assert backends.steps == {("a", "b", "limit"): 1}


def test_an_unhealthy_backend_gets_one_probe_per_period_until_it_is_healthy():
    backends = Backends(UnhealthyThreshold=2, HealthyThreshold=2, ProbeSeconds=10)
    backends.answers["a"] = [500, 500, 500]
    assert [backends.first("a", "b") for _ in range(4)] == ["b"] * 4
    assert backends.sent == ["a", "b", "a", "b", "b", "b"]
    assert backends.steps == {("a", "b", "api_error"): 2, ("a", "b", "unhealthy"): 2}
    backends.clock.advance(seconds=10)
    assert [backends.first("a", "b") for _ in range(2)] == ["b", "b"], "the probe fails, and no second one follows"
    assert backends.sent[6:] == ["a", "b", "b"]
    # after the second success in a row, it is healthy
    for second in ("b", "a"):
        backends.clock.advance(seconds=10)
        assert [backends.first("a", "b") for _ in range(2)] == ["a", second]
    assert backends.samples("llm_backend_health")[("a",)] == 1
    assert [backends.first("a", "b") for _ in range(3)] == ["a"] * 3


@pytest.mark.parametrize(
    "header",
    [("retry-after", "20"), ("retry-after-ms", "20000"), ("retry-after", "Tue, 24 Nov 2026 12:30:20 GMT")],
)
def test_a_backend_that_asks_to_wait_is_left_alone_so_long(header):
    backends = Backends()
    backends.answers["a"] = [(429, dict([header]))]
    assert backends.first("a", "b") == "b"
    backends.clock.advance(seconds=19)
    assert backends.first("a", "b") == "b"
    backends.clock.advance(seconds=1)
    assert backends.first("a", "b") == "a"
    assert backends.steps == {("a", "b", "rate_limit"): 1, ("a", "b", "retry_after"): 1}


def test_no_backend_left_says_of_each_why_and_when_the_first_is_back():
    backends = Backends(a={"MaxSpendUsd": 3, "SpendResetPeriod": "Daily"}, UnhealthyThreshold=1)
    backends.first("a")
    backends.answers["b"], backends.answers["c"] = [500], [(429, {"retry-after": "60"})]
    with pytest.raises(NoBackendAvailable) as caught:
        backends.first("a", "b", "c")
    error = caught.value
    assert error.reasons == {"a": "limit", "b": "api_error", "c": "rate_limit"}
    assert error.first_back == START + timedelta(seconds=60)
    assert isinstance(error.__cause__, httpx.HTTPStatusError)
    assert "'a' (limit)" in str(error)
    assert "2026-11-24T12:31:00+00:00" in str(error)
    assert backends.steps == {("a", "b", "limit"): 1, ("b", "c", "api_error"): 1, ("c", "none", "rate_limit"): 1}


def test_the_cheapest_backend_comes_first_and_one_without_a_price_last():
    prices = {"CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 2}
    free = {"CostPerMillionInputTokens": None, "CostPerMillionOutputTokens": None}
    backends = Backends(b={**prices}, c={**free})
    assert backends.first("c", "a", "b", order="cost") == "b"


def test_the_fastest_backend_comes_first_once_each_was_tried():
    backends = Backends()
    for name, seconds in (("a", 3), ("b", 1)):
        reply = backends.reply

        def slow(request, reply=reply, seconds=seconds, name=name):
            if request.url.host[0] == name:
                backends.clock.advance(seconds=seconds)
            return reply(request)

        backends.reply = slow
    backends.client = httpx.Client(transport=backends.meter.transport(httpx.MockTransport(backends.reply)))
    assert [backends.first("a", "b", order="latency") for _ in range(4)] == ["a", "b", "b", "b"]


def test_the_deadline_is_checked_between_tries():
    backends = Backends()

    def slow():
        backends.clock.advance(seconds=5)
        return backends.post("a")

    backends.answers["a"] = [500]
    with pytest.raises(NoBackendAvailable) as caught:
        llmmetrics.first(("a", slow), ("b", lambda: backends.post("b")), deadline=5, meter=backends.meter)
    assert caught.value.reasons == {"a": "api_error", "b": "deadline"}


def test_an_async_try_is_cancelled_at_the_deadline():
    meter = Meter.from_settings(
        {"Backends": [{"Name": name, "BaseUrl": f"https://{name}.example"} for name in "ab"]},
        registry=CollectorRegistry(),
    )

    async def main():
        hang = asyncio.Event().wait
        return await llmmetrics.afirst(("a", hang), ("b", hang), deadline=0.05, meter=meter)

    with pytest.raises(NoBackendAvailable) as caught:
        asyncio.run(main())
    assert caught.value.reasons == {"a": "deadline", "b": "deadline"}


def test_the_requests_of_a_try_belong_to_its_backend(caplog):
    backends = Backends(a={"ModelName": "m", "BaseUrl": "https://a.example"})
    call = lambda: backends.post("b")  # noqa: E731
    llmmetrics.first(("a", call), meter=backends.meter)
    llmmetrics.first(("a", call), meter=backends.meter)
    assert backends.samples("llm_requests_total") == {("a", "m", "success"): 2}
    (line,) = [record.message for record in caplog.records if "try" in record.message]
    assert "https://b.example" in line
    assert "'a'" in line


def test_meter_status_gives_the_same_facts():
    backends = Backends(a={"MaxSpendUsd": 3, "SpendResetPeriod": "Daily"}, UnhealthyThreshold=1, ProbeSeconds=10)
    assert backends.meter.available() == ["a", "b", "c"]
    backends.first("a")
    backends.answers["b"] = [500]
    backends.first("b", "c")
    assert backends.meter.available() == ["c"]
    a, b, c = backends.meter.status()
    assert (a.spent, a.limit, a.healthy, a.resets_at) == (Decimal(3), 3, True, START.replace(day=25, hour=0, minute=0))
    assert (b.healthy, b.spent, b.tried_at) == (False, None, START + timedelta(seconds=10))
    assert c.available


@pytest.mark.parametrize(
    ("names", "order", "message"),
    [
        ((), "given", "no tries"),
        (("a", "x"), "given", "'x' is not configured"),
        (("a", "b", "a"), "given", "'a' stands in two tries"),
        (("a",), "fast", "order='fast' is unknown"),
    ],
)
def test_a_wrong_failover_is_a_configuration_error(names, order, message):
    with pytest.raises(ConfigError, match=message):
        Backends().first(*names, order=order)


@pytest.mark.parametrize(
    ("tries", "more", "message"),
    [
        (["a"], {}, "is no try"),
        ([("a", 5)], {}, "the try of 'a' has a value of the type int: pass the function itself"),
        ([("a", "b", "c")], {}, "a tuple is no try"),
        ([("a", int)], {"deadline": -1}, "deadline=-1"),
        ([("a", int)], {"deadline": float("nan")}, "deadline=nan"),
        ([("a", int)], {"meter": 5}, "is no Meter"),
    ],
)
def test_a_wrong_argument_says_what_to_pass(tries, more, message):
    with pytest.raises(ConfigError, match=message):
        llmmetrics.first(*tries, **{"meter": Backends().meter, **more})


def test_a_function_of_the_wrong_kind_says_which_one_to_use():
    backends = Backends()

    async def asynchronous():
        return 1

    with pytest.raises(ConfigError, match=r"'a' returns an awaitable: use `await llmmetrics\.afirst"):
        llmmetrics.first(("a", asynchronous), meter=backends.meter)
    with pytest.raises(ConfigError, match=r"'a' returns no awaitable: use llmmetrics\.first"):
        asyncio.run(llmmetrics.afirst(("a", lambda: 1), meter=backends.meter))


@pytest.mark.parametrize("seconds", ["99999999999999", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_wait_that_no_calendar_has_is_a_month(seconds):
    backends = Backends()
    backends.answers["a"] = [(429, {"retry-after": seconds})]
    with pytest.raises(NoBackendAvailable) as caught:
        backends.first("a")
    assert caught.value.first_back == START + timedelta(days=31)
    assert backends.meter.status()[0].tried_at == START + timedelta(days=31)


def test_without_a_meter_the_only_one_of_the_process_is_used():
    first, second = Backends(), Backends()
    assert first.meter is not second.meter
    with pytest.raises(ConfigError, match=r"\d meters in this process: pass one of them as meter="):
        llmmetrics.first(("a", lambda: 1))


def test_sdks_of_two_providers_behind_one_function():
    with serve() as one, serve() as other:
        other_url, registry = other.url, CollectorRegistry()
        meter = Meter.from_settings(
            {
                "Backends": [
                    {"Name": "gpt", "BaseUrl": f"{one.url}/v1", **PRICE},
                    {"Name": "claude", "Type": "Anthropic", "BaseUrl": other_url, **PRICE},
                ]
            },
            registry=registry,
        )
        gpt = meter.wrap(openai.OpenAI(api_key="k", base_url=f"{one.url}/v1", max_retries=0))
        claude = meter.wrap(anthropic.Anthropic(api_key="k", base_url=other_url, max_retries=0))
        messages = [{"role": "user", "content": "Hello"}]
        tries = (
            ("gpt", lambda: gpt.chat.completions.create(model="m", messages=messages).choices[0].message.content),
            (
                "claude",
                lambda: claude.messages.create(model="c", max_tokens=5, messages=messages).content[0].text,
            ),
        )
        from llmmetrics.testing import faults

        one.script(faults.RATE_LIMIT)
        assert llmmetrics.first(*tries, meter=meter).startswith("Hello")
        assert (len(one.requests), len(other.requests)) == (1, 1)
        assert json.loads(other.requests[0].body)["model"] == "c"


@pytest.mark.parametrize("raises", [False, True])
def test_a_try_that_the_meter_does_not_see_is_logged_once(caplog, raises):
    backends = Backends()

    def unmetered():
        if raises:
            raise OSError("no route")
        return "an answer"

    for _ in range(2):
        with pytest.raises(OSError) if raises else nullcontext():
            llmmetrics.first(("a", unmetered), ("b", lambda: backends.post("b")), meter=backends.meter)
    (said,) = [each.getMessage() for each in caplog.records if "has seen" in each.getMessage()]
    assert said.startswith("a try of the backend 'a' made no request that this meter has seen")
    assert "meter.wrap(client)" in said


def test_a_try_that_the_meter_sees_is_not_logged(caplog):
    backends = Backends()
    backends.answers["a"] = [503]
    backends.first("a", "b")
    assert [each for each in caplog.records if "has seen" in each.getMessage()] == []
