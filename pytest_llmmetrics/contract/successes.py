"""The client suite's tests of successful calls: counted once, and exactly."""

from __future__ import annotations

from decimal import Decimal

import pytest

from llmmetrics.testing.contract.checks import CHECKS, check
from llmmetrics.testing.contract.scraping import scrapes
from pytest_llmmetrics import faults
from pytest_llmmetrics.contract.base import ClientContract
from pytest_llmmetrics.contract.bench import ANSWER, TOKENS, Bench

_EXACT = Decimal("1e-12")
"""Counters are floats."""


class SuccessContract(ClientContract):
    """Tests of successful calls."""

    def test_a_success_is_counted_once(self, llm_bench: Bench) -> None:
        self._succeed(llm_bench)
        llm_bench.probe.assert_delta("llm_requests_total", {"success": 1})
        llm_bench.probe.assert_delta("llm_errors_total", {})

    def test_every_call_is_counted(self, llm_bench: Bench) -> None:
        for _ in range(3):
            self._succeed(llm_bench)
        llm_bench.probe.assert_delta("llm_requests_total", {"success": 3})

    def test_its_tokens_are_exact(self, llm_bench: Bench) -> None:
        self._succeed(llm_bench)
        if not llm_bench.probe.last.usage_known:
            pytest.fail(
                "the answer has no usage: ask for it, for example with stream_options={'include_usage': True}", False
            )
        llm_bench.probe.assert_delta("llm_tokens_total", TOKENS)

    def test_its_cost_is_exact(self, llm_bench: Bench) -> None:
        self._succeed(llm_bench)
        probe = llm_bench.probe
        expected, counted = probe.last.cost_usd, probe.cost
        if self.price is not None:
            prompt, completion = map(Decimal, self.price)
            expected = (ANSWER.prompt_tokens * prompt + ANSWER.completion_tokens * completion) / 1_000_000
        elif expected is None:
            self._require(probe.delta("llm_estimated_cost_usd") == 0, "no price is known, but a cost was counted")
        else:
            self._require(expected, "the cost is 0 USD: if the model is free, declare price = ('0', '0')")
        same = counted == expected if expected is None or counted is None else abs(counted - expected) < _EXACT
        self._require(same, f"the counted cost is {counted} USD, not {expected} USD")

    def test_its_labels_are_those_of_the_call(self, llm_bench: Bench) -> None:
        self._succeed(llm_bench)
        model, backends = llm_bench.script.requests[-1].model, llm_bench.probe.last.meter.names()
        for series in llm_bench.probe.moved():
            labels = dict(series.labels)
            if labels.get("model", model) not in (model, "other") or labels.get("backend") not in {None, *backends}:
                names = " or ".join(sorted(backends))
                pytest.fail(
                    f"{series} has wrong labels: the requested model is {model!r}, the backend is {names}",
                    pytrace=False,
                )

    def test_its_duration_is_observed(self, llm_bench: Bench) -> None:
        self._succeed(llm_bench)
        llm_bench.call(faults.SERVER_ERROR)
        count, total = (llm_bench.probe.delta(f"llm_request_duration_seconds_{each}") for each in ("count", "sum"))
        if count != len(llm_bench.wire.attempts) or not total > 0:
            pytest.fail(
                f"{len(llm_bench.wire.attempts)} attempts, but {count:g} durations with a sum of {total} s",
                pytrace=False,
            )

    def test_it_is_active_while_it_is_in_flight(self, llm_bench: Bench) -> None:
        seen: list[float] = []
        llm_bench.wire.in_flight = lambda: seen.append(llm_bench.probe.value("llm_active_requests"))
        self._succeed(llm_bench)
        if seen != [1]:
            pytest.fail(f"llm_active_requests was {seen} while the call was in flight, not [1]", pytrace=False)
        self._require_idle(llm_bench)

    def test_what_it_exports_keeps_the_metrics_contract(self, llm_bench: Bench) -> None:
        self._succeed(llm_bench)
        llm_bench.call(faults.RATE_LIMIT)
        llm_bench.call(faults.READ_TIMEOUT)
        seen = scrapes(llm_bench.probe.last.meter.registry)
        # not `buckets`: they are a setting
        wrong = [str(each) for name in CHECKS if name != "buckets" for each in check(name, seen)]
        if wrong:
            pytest.fail("\n".join(wrong), pytrace=False)
