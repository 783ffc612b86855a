"""The client suite's tests of retries: how many, how long, and when a retry is wrong."""

from __future__ import annotations

from math import inf

import pytest

from llmmetrics import budget_exceeded
from llmmetrics.testing import Fault
from pytest_llmmetrics import faults
from pytest_llmmetrics.budgets import LlmBudget
from pytest_llmmetrics.contract.base import BUDGET, MORE, ClientContract, each_of
from pytest_llmmetrics.contract.bench import Bench
from pytest_llmmetrics.contract.patience import FOREVER

_PASSING = (faults.RATE_LIMIT, faults.UNAVAILABLE, faults.CONNECT_TIMEOUT, faults.RESET)
_LASTING = (faults.BAD_KEY, faults.FORBIDDEN, faults.CONTEXT_TOO_LONG)
_SLOW = (faults.READ_TIMEOUT, faults.UNAVAILABLE, faults.STALL)


class RetryContract(ClientContract):
    """Tests of a client's retries and of its budget refusals."""

    @each_of(*_PASSING)
    def test_attempts_are_bounded(self, llm_bench: Bench, fault: Fault) -> None:
        out = self._meet(llm_bench, fault, times=self.max_attempts + MORE)
        tried = "it retried until the suite stopped it" if out.endless else f"it made {out.attempts} attempts"
        self._require(out.attempts <= self.max_attempts, f"{tried}: max_attempts is {self.max_attempts}")

    @each_of(*_LASTING)
    def test_a_lasting_error_is_not_retried(self, llm_bench: Bench, fault: Fault) -> None:
        out = self._meet(llm_bench, fault, times=self.max_attempts + MORE)
        self._require(
            out.attempts == 1,
            f"it made {out.attempts} attempts after {fault.name}, which a retry cannot fix: do not retry it",
        )

    def test_every_attempt_is_counted(self, llm_bench: Bench) -> None:
        out = self._meet(llm_bench, faults.UNAVAILABLE, times=self.max_attempts + MORE)
        llm_bench.probe.assert_delta("llm_requests_total", {"failure": out.attempts})
        llm_bench.probe.assert_delta("llm_errors_total", {"api_error": out.attempts})

    @each_of(*_SLOW)
    def test_the_deadline_is_kept(self, llm_bench: Bench, fault: Fault) -> None:
        out = self._meet(llm_bench, fault, times=self.max_attempts + MORE)
        self._require(not out.endless, f"one call was still running after {out.waited:g} s, when the suite stopped it")
        limit = FOREVER if self.deadline is None else self.deadline
        took = "has no end, because a timeout is None" if out.waited >= FOREVER else f"takes {out.waited:g} s"
        self._require(out.waited < (limit or inf), f"one call {took}: the deadline is {limit:g} s")

    def test_retry_after_is_kept(self, llm_bench: Bench) -> None:
        self._meet(llm_bench, faults.RATE_LIMIT)
        first, *later = llm_bench.wire.attempts
        if not later:
            pytest.skip("the client does not retry a rate limit")
        wait, least = later[0].at - first.at, float(faults.RATE_LIMIT.retry_after or 0)
        self._require(wait >= least, f"it retried after {wait:g} s, before the {least:g} s of Retry-After")

    # budget refusals

    def test_a_refusal_reaches_the_caller(self, llm_bench: Bench, llm_budget: LlmBudget) -> None:
        self._succeed(llm_bench)
        backend = llm_bench.probe.last.backend
        llm_budget.set(backend, "1")
        llm_budget.exhaust(backend)
        out = llm_bench.call()
        self._require(out.attempts == 0, "the budget is exhausted, but the call was sent")
        refusals = llm_bench.probe.delta("llmmetrics_budget_refusals_total")
        self._require(refusals == 1, f"one call was refused {refusals:g} times: do not retry a refusal")
        self._require(not out.waited, f"it waited {out.waited:g} s after a budget refusal: do not wait")
        if BUDGET not in self.handled:
            message = f"the caller gets {out.exception or out.value!r}, which does not contain the BudgetExceeded"
            self._require(budget_exceeded(out.exception) is not None, message)
        llm_bench.probe.assert_delta("llm_requests_total", {"success": 1})
