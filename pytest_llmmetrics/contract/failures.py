"""The part of the client suite that is about what goes wrong: counted rightly, and nothing left behind."""

from __future__ import annotations

import pytest

from llmmetrics.testing import Fault
from pytest_llmmetrics import faults
from pytest_llmmetrics.contract.base import ClientContract, each_of
from pytest_llmmetrics.contract.bench import Bench
from pytest_llmmetrics.contract.wire import SHORTEST
from pytest_llmmetrics.probe import LabelValues


class FailureContract(ClientContract):
    """What is asked of a call that fails or is cancelled."""

    @each_of(*faults.FAULTS.values())
    def test_a_fault(self, llm_bench: Bench, fault: Fault) -> None:
        out = self._meet(llm_bench, fault)
        interrupted = llm_bench.wire.attempts[0].interrupted
        status, error = ("cancelled", None) if interrupted else (fault.status, fault.error_type)
        counted: dict[LabelValues, float] = {status: 1}
        counted["success"] = counted.get("success", 0) + out.attempts - 1
        llm_bench.probe.assert_delta("llm_requests_total", counted)
        llm_bench.probe.assert_delta("llm_errors_total", {error: 1} if error else {})
        self._require_idle(llm_bench)
        if fault.status == "success":
            self._require(out.exception is None, f"{fault.name} is a success, and it raised {out.exception!r}")
        elif out.attempts == 1 and fault.name not in self.handled:
            says = f"it returned {out.value!r} as if nothing had happened: raise, or declare handled = [{fault.name!r}]"
            self._require(out.exception is not None, says)

    @each_of(faults.USAGE_MISSING, faults.CUT)
    def test_tokens_that_nobody_told_are_estimated(self, llm_bench: Bench, fault: Fault) -> None:
        self._meet(llm_bench, fault)
        self._require(
            llm_bench.probe.delta("llmmetrics_calls_without_usage_total") == 1, "unknown usage passed for known"
        )
        total = llm_bench.probe.records[0].usage
        self._require(total is not None and total.prompt > 0, "the prompt of a call without usage counted as 0 tokens")

    def test_no_fault_leaks_a_connection(self, llm_bench: Bench) -> None:
        leaks = [each.name for each in self._all() if llm_bench.call(each, self.max_attempts).unclosed]
        says = f"the answer is not closed after {', '.join(leaks)}: its connection never returns to the pool"
        self._require(not leaks, says)

    def test_no_fault_leaves_a_call_active(self, llm_bench: Bench) -> None:
        for each in self._all():
            llm_bench.call(each, self.max_attempts)
        self._require_idle(llm_bench)

    def test_no_secret_gets_out(self, llm_bench: Bench) -> None:
        told = {each.name: llm_bench.call(each, self.max_attempts).text for each in self._all()}
        told["the log"] = llm_bench.logged()
        keys = llm_bench.wire.keys
        if not keys:
            pytest.skip("the calls carry no key")
        short = [each for each in keys if len(each) < SHORTEST]
        self._require(not short, f"the key is too short to be looked for: use one of at least {SHORTEST} characters")
        found = [name for name, text in told.items() if any(key in text for key in keys)]
        self._require(not found, f"the API key can be read in the exception or the log of: {', '.join(found)}")

    # who goes away

    @pytest.mark.parametrize("where", ["headers", "body"])
    def test_a_cancelled_call(self, llm_bench: Bench, where: str) -> None:
        out, passed = llm_bench.interrupt(where)
        self._require(passed, f"the cancellation was swallowed: it gave {out.exception or out.value!r} instead")
        self._require(not out.unclosed, "the answer of a cancelled call is not closed")
        llm_bench.probe.assert_delta("llm_requests_total", {"cancelled": 1})
        llm_bench.probe.assert_delta("llm_errors_total", {})
        self._require_idle(llm_bench)
