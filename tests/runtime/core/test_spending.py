"""A budget for a run: which calls belong to it, what is refused, what the run says it came to."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import httpx
import openai
import pytest
from prometheus_client import CollectorRegistry
from support.budget_setup import PRICE
from support.run_setup import URL, Runs, refused

import llmmetrics
from llmmetrics import BudgetExceeded, ConfigError, Meter, spending
from llmmetrics.testing import faults, serve


def test_a_run_stops_before_its_limit():
    runs = Runs()
    with spending(usd="7") as run:
        runs.call()
        runs.call()
        exceeded = refused(runs.call)
        assert (run.spent, run.remaining, run.calls, run.tokens) == (6, 1, 2, 16)
    assert len(runs.sent) == 2
    assert (exceeded.backend, exceeded.run, exceeded.unit) == ("b", run.name, "usd")
    assert (exceeded.spent, exceeded.limit, exceeded.could_cost, exceeded.max_tokens) == (6, 7, 3, 1)
    assert f"the run {run.name!r} has spent $6 of its $7" in str(exceeded)
    assert "could cost $3" in str(exceeded)
    assert "set max_tokens to 1 or less" in str(exceeded)
    assert runs.value("llmmetrics_budget_refusals_total", backend="b", reason="run") == 1
    assert runs.value("llm_requests_total") == 2
    runs.call()


def test_calls_and_tokens_are_limits_too():
    runs = Runs()
    with spending(calls=2) as run:
        runs.call()
        runs.call()
        exceeded = refused(runs.call)
    assert (exceeded.unit, exceeded.spent, exceeded.limit, run.calls) == ("calls", 2, 2, 2)
    assert "has made 2 of its 2 calls" in str(exceeded)
    body = len(runs.sent[0].content)
    with spending(tokens=8 + body + 3) as run:
        runs.call()
        runs.call()
        exceeded = refused(runs.call)
    assert (exceeded.unit, exceeded.spent, run.tokens) == ("tokens", 16, 16)
    assert "has used 16 of its" in str(exceeded)


@pytest.mark.parametrize("limit", [{"usd": 0}, {"calls": 0}, {"tokens": 0}])
def test_a_limit_of_0_refuses_every_call(limit):
    runs = Runs()
    with spending(**limit):
        refused(runs.call)
    assert runs.sent == []


def test_documented_goes_past_the_limit_by_one_call_and_shadow_only_counts():
    runs = Runs()
    with spending(usd="4", mode="documented") as run:
        runs.call()
        runs.call()
        refused(runs.call)
    assert run.spent == 6
    with spending(usd="4", mode="shadow") as run:
        for _ in range(3):
            runs.call()
    assert run.spent == 9


def test_without_limits_it_measures():
    runs = Runs()
    with spending() as run:
        runs.call()
    assert (run.spent, run.remaining, run.calls) == (3, None, 1)
    (row,) = run.report()
    assert (row.backend, row.model, row.calls, row.tokens, row.known, row.estimated) == ("b", "m", 1, 8, 3, 0)


def test_a_failed_call_costs_nothing_and_counts():
    runs = Runs(answer=lambda _: httpx.Response(500, json={}))
    with spending(usd="3", calls=2) as run:
        runs.call()
        runs.call()
        assert refused(runs.call).unit == "calls"
    assert (run.spent, run.calls) == (0, 2)


def test_a_call_of_unknown_outcome_is_booked_at_its_worst_case_in_strict():
    def answer(request):
        raise httpx.ReadTimeout("slow", request=request)

    runs = Runs(answer=answer)
    with spending(usd="5") as run:
        with pytest.raises(httpx.ReadTimeout):
            runs.call()
        assert run.spent == 3
        refused(runs.call)
    (row,) = run.report()
    assert (row.known, row.worst_case) == (0, 3)


def test_a_refusal_writes_small_amounts_out():
    runs = Runs()
    with spending(usd="0.0000001"), pytest.raises(BudgetExceeded, match=r"spent \$0 of its \$0\.0000001, and"):
        runs.call()


def test_a_call_without_a_price_is_refused_by_a_run_with_dollars_alone():
    own = {"CostPerMillionInputTokens": None, "CostPerMillionOutputTokens": None}
    runs = Runs(backend={"ModelName": None, **own})
    with spending(usd="5"), pytest.raises(BudgetExceeded) as caught:
        runs.call(model="no-such-model")
    assert caught.value.reason == "unknown_price"
    assert str(caught.value).startswith("refused: no price is known")
    assert f"and the run {caught.value.run!r} has a budget" in str(caught.value)
    with spending(calls=5) as run:
        runs.call(model="no-such-model")
    assert run.calls == 1


@pytest.mark.parametrize(
    ("model", "url"),
    [
        ("gpt-5.1", URL),
        ("gpt-4o", URL),
        (
            "gemini-2.5-pro",
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:generateContent",
        ),
    ],
)
def test_two_dollars_let_a_large_model_write_without_an_output_limit(model, url):
    runs = Runs(backend={"ModelName": None, **dict.fromkeys(PRICE)})
    with spending(usd="2"):
        runs.client.post(url, json={"model": model, "messages": [{"role": "user", "content": "Hi"}]})
    assert len(runs.sent) == 1


# which calls belong


def test_nested_runs_all_hold_and_the_inner_refusal_leaves_nothing_reserved():
    runs = Runs()
    with spending(usd="6") as outer:
        with spending(usd="3") as inner:
            runs.call()
            assert refused(runs.call).run == inner.name
            assert (outer.spent, outer.remaining) == (3, 3)
        runs.call()
        assert refused(runs.call).run == outer.name
    assert (outer.spent, inner.spent) == (6, 3)


def test_a_budget_of_the_backend_holds_as_well_and_its_refusal_gives_the_run_its_reservation_back():
    runs = Runs(backend={"MaxSpendUsd": 3}, Budget={"Ledger": "memory://", "Mode": "strict"})
    with spending(usd="100") as run:
        runs.call()
        with pytest.raises(BudgetExceeded) as caught:
            runs.call()
        assert caught.value.reason == "limit"
        assert (run.spent, run.remaining, run.calls) == (3, 97, 1)


def test_tasks_and_to_thread_belong_and_threads_need_bind(caplog):
    runs = Runs()

    async def main():
        with spending(calls=10) as run:
            await asyncio.gather(runs.acall(), runs.acall())
            await asyncio.to_thread(runs.call)
            assert run.calls == 3
            thread = threading.Thread(target=runs.call)
            thread.start()
            thread.join()
            assert run.calls == 3
            with ThreadPoolExecutor() as pool:
                pool.submit(run.bind(runs.call)).result()
                pool.submit(runs.call).result()
            assert run.calls == 4

    asyncio.run(main())
    assert runs.value("llmmetrics_calls_outside_runs_total") == 2
    assert len([record for record in caplog.records if "run.bind" in record.message]) == 1


def test_calls_of_other_tasks_in_the_thread_of_a_run_are_not_outside():
    runs = Runs()

    async def main():
        async with spending(calls=1):
            pass

        inside, over = asyncio.Event(), asyncio.Event()

        async def with_run():
            async with spending(calls=1):
                inside.set()
                await over.wait()

        task = asyncio.create_task(with_run())
        await inside.wait()
        await runs.acall()
        over.set()
        await task

    asyncio.run(main())
    assert runs.value("llmmetrics_calls_outside_runs_total") == 0


def test_a_process_wide_run_holds_in_every_thread():
    runs = Runs()
    with spending(calls=2, scope="process") as run, ThreadPoolExecutor() as pool:
        pool.submit(runs.call).result()
        runs.call()
        with pytest.raises(BudgetExceeded):
            pool.submit(runs.call).result()
    assert run.calls == 2
    runs.call()


def test_required_runs_refuse_a_call_outside():
    runs = Runs(Attribution={"RequireRun": True})
    exceeded = refused(runs.call)
    assert "belongs to no run" in str(exceeded)
    with spending():
        runs.call()
    assert len(runs.sent) == 1


def test_a_decorated_function_gets_a_run_for_each_call():
    runs = Runs()

    @spending(calls=1)
    def plain():
        runs.call()

    @spending(calls=1)
    async def coroutine():
        await runs.acall()
        await runs.acall()

    @spending(calls=1)
    def generator():
        runs.call()
        yield 1
        runs.call()

    plain()
    plain()
    with pytest.raises(BudgetExceeded):
        asyncio.run(coroutine())
    steps = generator()
    next(steps)
    runs.call()
    with pytest.raises(BudgetExceeded):
        next(steps)


def test_a_generator_that_is_dropped_ends_its_run():
    runs = Runs()

    def steps():
        with spending(calls=0):
            yield

    dropped = steps()
    next(dropped)
    del dropped
    gc.collect()
    runs.call()


def test_ten_thousand_runs_leave_nothing_in_memory():
    runs = Runs()
    references = []
    for number in range(10_000):
        with spending(usd="5") as run:
            if number % 1000 == 0:
                runs.call()
        references.append(weakref.ref(run))
    del run
    gc.collect()
    assert sum(reference() is not None for reference in references) == 0


def test_a_stream_is_booked_in_the_run_in_which_it_began():
    runs = Runs()
    asked = runs.client.stream("POST", URL, json={"model": "m", "messages": [], "max_tokens": 3})
    with spending(usd="5") as run:
        response = asked.__enter__()
    response.read()
    asked.__exit__(None, None, None)
    assert run.spent == 3


def test_a_fork_does_not_inherit_a_run_in_memory(tmp_path):
    import os

    runs = Runs()
    with spending(calls=1) as run:
        runs.call()
        if (pid := os.fork()) == 0:
            try:
                runs.call()
                (tmp_path / "sent").write_text(str(len(runs.sent)))
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert run.calls == 1
    assert (tmp_path / "sent").read_text() == "2"


# SDKs


def test_an_sdk_does_not_retry_the_refusal():
    with serve() as provider:
        registry = CollectorRegistry()
        meter = Meter.from_settings(
            {"Backends": [{"Name": "b", "BaseUrl": f"{provider.url}/v1", **PRICE}]}, registry=registry
        )
        client = meter.wrap(openai.OpenAI(api_key="k", base_url=f"{provider.url}/v1"))
        ask = lambda: client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])  # noqa: E731
        with spending(calls=3) as run:
            provider.script(faults.SERVER_ERROR)
            ask()
            ask()
            with pytest.raises(openai.APIStatusError) as caught:
                ask()
        exceeded = llmmetrics.budget_exceeded(caught.value)
        assert (exceeded.reason, exceeded.run, exceeded.unit, exceeded.limit) == ("run", run.name, "calls", 3)
        assert len(provider.requests) == 3


# wrong arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"usd": 0.5}, "a float is not exact"),
        ({"usd": -1}, "from 0 to"),
        ({"usd": "NaN"}, "from 0 to"),
        ({"usd": Decimal("Infinity")}, "from 0 to"),
        ({"usd": "abc"}, "from 0 to"),
        ({"usd": True}, "from 0 to"),
        ({"usd": print}, "needs brackets"),
        ({"calls": -1}, "whole number"),
        ({"calls": 1.5}, "whole number"),
        ({"tokens": "5"}, "whole number"),
        ({"mode": "hard"}, "'strict', 'documented' or 'shadow'"),
        ({"scope": "thread"}, "'context' or 'process'"),
        ({"name": ""}, "1 to 200"),
        ({"name": "a" * 201}, "1 to 200"),
        ({"name": "a\nb"}, "1 to 200"),
        ({"ttl": 0}, "above 0"),
        ({"ttl": "5"}, "above 0"),
        ({"ttl": True}, "above 0"),
    ],
)
def test_a_wrong_argument_is_a_configuration_error(arguments, message):
    with pytest.raises(ConfigError, match=message):
        spending(**arguments)
