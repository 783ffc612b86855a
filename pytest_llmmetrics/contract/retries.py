"""The part of the client suite that is about trying again: how often, how long, and when not at all."""

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
    """What is asked of a client that tries again."""

    @each_of(*_PASSING)
    def test_attempts_are_bounded(self, llm_bench: Bench, fault: Fault) -> None:
        out = self._meet(llm_bench, fault, times=self.max_attempts + MORE)
        says = "it tried until it was stopped" if out.endless else f"it tried {out.attempts} times"
        self._require(out.attempts <= self.max_attempts, f"{says}: max_attempts is {self.max_attempts}")

    @each_of(*_LASTING)
    def test_what_cannot_succeed_is_not_tried_again(self, llm_bench: Bench, fault: Fault) -> None:
        out = self._meet(llm_bench, fault, times=self.max_attempts + MORE)
        self._require(out.attempts == 1, f"it tried {out.attempts} times, which {fault.name} makes useless")

    def test_every_attempt_is_counted(self, llm_bench: Bench) -> None:
        out = self._meet(llm_bench, faults.UNAVAILABLE, times=self.max_attempts + MORE)
        llm_bench.probe.assert_delta("llm_requests_total", {"failure": out.attempts})
        llm_bench.probe.assert_delta("llm_errors_total", {"api_error": out.attempts})

    @each_of(*_SLOW)
    def test_the_deadline_is_kept(self, llm_bench: Bench, fault: Fault) -> None:
        out = self._meet(llm_bench, fault, times=self.max_attempts + MORE)
        self._require(not out.endless, f"one call had gone on for {out.waited:g} s, and on, when it was stopped")
        limit = FOREVER if self.deadline is None else self.deadline
        took = "forever: a timeout is None" if out.waited >= FOREVER else f"{out.waited:g} s"
        self._require(out.waited < (limit or inf), f"one call takes {took}, and the deadline is {limit:g} s")

    def test_retry_after_is_kept(self, llm_bench: Bench) -> None:
        self._meet(llm_bench, faults.RATE_LIMIT)
        first, *later = llm_bench.wire.attempts
        if not later:
            pytest.skip("a rate limit is not tried again")
        wait, asked = later[0].at - first.at, float(faults.RATE_LIMIT.retry_after or 0)
        self._require(wait >= asked, f"it tried again after {wait:g} s: Retry-After said {asked:g}")

    # who may not call

    def test_a_refusal_reaches_the_caller(self, llm_bench: Bench, llm_budget: LlmBudget) -> None:
        self._succeed(llm_bench)
        backend = llm_bench.probe.last.backend
        llm_budget.set(backend, "1")
        llm_budget.exhaust(backend)
        out = llm_bench.call()
        self._require(out.attempts == 0, "the budget is spent, and the call was sent all the same")
        refusals = llm_bench.probe.delta("llmmetrics_budget_refusals_total")
        self._require(refusals == 1, f"one call was refused {refusals:g} times: something tries again")
        self._require(not out.waited, f"it waited {out.waited:g} s for a budget that is spent")
        if BUDGET not in self.handled:
            says = f"the caller gets {out.exception or out.value!r}, in which budget_exceeded() finds nothing"
            self._require(budget_exceeded(out.exception) is not None, says)
        llm_bench.probe.assert_delta("llm_requests_total", {"success": 1})
