"""The client suite's tests of failed and cancelled calls: counted correctly, and nothing left open."""

from __future__ import annotations

import pytest

from llmmetrics.testing import Fault
from llmmetrics.testing.harness import counted
from pytest_llmmetrics import faults
from pytest_llmmetrics.contract.base import ClientContract, each_of
from pytest_llmmetrics.contract.bench import Bench
from pytest_llmmetrics.contract.wire import SHORTEST
from pytest_llmmetrics.probe import LabelValues


class FailureContract(ClientContract):
    """Tests of calls that fail or are cancelled."""

    @each_of(*faults.FAULTS.values())
    def test_a_fault(self, llm_bench: Bench, fault: Fault) -> None:
        out = self._meet(llm_bench, fault)
        interrupted = llm_bench.wire.attempts[0].interrupted
        status, error = ("cancelled", None) if interrupted else counted(llm_bench.script.requests[0], fault)
        calls: dict[LabelValues, float] = {status: 1}
        calls["success"] = calls.get("success", 0) + out.attempts - 1
        llm_bench.probe.assert_delta("llm_requests_total", calls)
        llm_bench.probe.assert_delta("llm_errors_total", {error: 1} if error else {})
        self._require_idle(llm_bench)
        if fault.status == "success":
            self._require(out.exception is None, f"{fault.name} is a success, but call() raised {out.exception!r}")
        elif out.attempts == 1 and fault.name not in self.handled:
            message = (
                f"{fault.name}: call() returned {out.value!r}: raise an error, or declare handled = [{fault.name!r}]"
            )
            self._require(out.exception is not None, message)

    @each_of(faults.USAGE_MISSING, faults.CUT)
    def test_tokens_without_usage_are_estimated(self, llm_bench: Bench, fault: Fault) -> None:
        self._meet(llm_bench, fault)
        self._require(
            llm_bench.probe.delta("llmmetrics_calls_without_usage_total") == 1, "unknown usage was counted as known"
        )
        total = llm_bench.probe.records[0].usage
        self._require(
            total is not None and total.prompt > 0, "the prompt of a call without usage was counted as 0 tokens"
        )

    def test_no_fault_leaks_a_connection(self, llm_bench: Bench) -> None:
        leaks = [each.name for each in self._all() if llm_bench.call(each, self.max_attempts).unclosed]
        message = (
            f"the answer is not closed after {', '.join(leaks)}, so its connection never returns to the pool: close it"
        )
        self._require(not leaks, message)

    def test_no_fault_leaves_a_call_active(self, llm_bench: Bench) -> None:
        for each in self._all():
            llm_bench.call(each, self.max_attempts)
        self._require_idle(llm_bench)

    def test_no_secret_gets_out(self, llm_bench: Bench) -> None:
        texts = {each.name: llm_bench.call(each, self.max_attempts).text for each in self._all()}
        texts["the log"] = llm_bench.logged()
        keys = llm_bench.wire.keys
        if not keys:
            pytest.skip("the requests have no key")
        short = [each for each in keys if len(each) < SHORTEST]
        self._require(not short, f"the key is too short to search for: use a key of at least {SHORTEST} characters")
        leaks = [name for name, text in texts.items() if any(key in text for key in keys)]
        self._require(not leaks, f"the API key is in the exception or the log of: {', '.join(leaks)}")

    # cancellation

    @pytest.mark.parametrize("where", ["headers", "body"])
    def test_a_cancelled_call(self, llm_bench: Bench, where: str) -> None:
        out, passed = llm_bench.interrupt(where)
        self._require(passed, f"the cancellation was swallowed: the result was {out.exception or out.value!r} instead")
        self._require(not out.unclosed, "the answer of a cancelled call is not closed")
        llm_bench.probe.assert_delta("llm_requests_total", {"cancelled": 1})
        llm_bench.probe.assert_delta("llm_errors_total", {})
        self._require_idle(llm_bench)
