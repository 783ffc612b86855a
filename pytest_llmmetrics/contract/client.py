"""The suite for code that makes LLM calls: subclass it, and give it one callable."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal
from math import inf
from typing import Any

import pytest

from llmmetrics import budget_exceeded
from llmmetrics.testing import Fault, Script
from llmmetrics.testing.contract_checks import CHECKS, check
from llmmetrics.testing.scrape import scrapes
from pytest_llmmetrics import faults
from pytest_llmmetrics.budgets import LlmBudget
from pytest_llmmetrics.contract.bench import ANSWER, Bench, Outcome, bench
from pytest_llmmetrics.contract.patience import FOREVER
from pytest_llmmetrics.contract.streams import StreamContract
from pytest_llmmetrics.contract.wire import SHORTEST
from pytest_llmmetrics.probe import Probe

_PASSING = (faults.RATE_LIMIT, faults.UNAVAILABLE, faults.CONNECT_TIMEOUT, faults.RESET)
_LASTING = (faults.BAD_KEY, faults.FORBIDDEN, faults.CONTEXT_TOO_LONG)
_SLOW = (faults.READ_TIMEOUT, faults.UNAVAILABLE, faults.STALL)
_EXACT = Decimal("1e-12")
"""Counters are floats."""

_MORE = 5
"""So many attempts above what is allowed, a client is stopped."""

BUDGET = "budget"
"""What `handled` calls a refusal by the budget."""


def _each(*chosen: Fault) -> pytest.MarkDecorator:
    """The test once for each of these faults."""
    return pytest.mark.parametrize("fault", chosen, ids=[each.name for each in chosen])


class LlmClientContract(StreamContract):
    """Subclass it as `Test…` and give it `call`; every way in which a provider fails is a test of it.

    Nothing is sent and nobody waits: the provider is simulated, back-off and timeouts are added up.
    """

    max_attempts: int = 3
    """How often one call may go over the wire: the official SDKs try twice more."""
    deadline: float | None = None
    """Seconds that one call may take, with every timeout and back-off in it; None: any, but not forever."""
    faults_excluded: Collection[str] = ()
    """Faults to leave out."""
    handled: Collection[str] = ()
    """Faults after which `call` returns something instead of raising, and `budget`."""
    price: tuple[str, str] | None = None
    """USD per million prompt and completion tokens; None: whatever is configured, or the catalogue says."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__test__" not in vars(cls):
            cls.__test__ = True
        try:
            faults.chosen(exclude=cls.faults_excluded)
            if not isinstance(cls.handled, str):
                faults.chosen(exclude=[each for each in cls.handled if each != BUDGET])
            else:
                faults.chosen(exclude=cls.handled)
        except ValueError as exc:
            raise ValueError(f"{cls.__name__}: {exc}") from None

    def call(self) -> Any:
        """Make one LLM call. It may be `async def`."""
        raise NotImplementedError("say in call() how the code under test makes one LLM call")

    @pytest.fixture
    def llm_bench(self, llm_metrics: Probe, llm_provider: Script, caplog: pytest.LogCaptureFixture) -> Iterator[Bench]:
        with bench(llm_metrics, llm_provider, caplog, self.call, self.max_attempts + _MORE) as made:
            yield made

    # a success

    def test_a_success_is_counted_once(self, llm_bench: Bench) -> None:
        self.succeed(llm_bench)
        llm_bench.probe.assert_delta("llm_requests_total", {"success": 1})
        llm_bench.probe.assert_delta("llm_errors_total", {})

    def test_every_call_is_counted(self, llm_bench: Bench) -> None:
        for _ in range(3):
            self.succeed(llm_bench)
        llm_bench.probe.assert_delta("llm_requests_total", {"success": 3})

    def test_its_tokens_are_exact(self, llm_bench: Bench) -> None:
        self.succeed(llm_bench)
        if not llm_bench.probe.last.usage_known:
            pytest.fail("the answer had no usage: ask for it, as in stream_options={'include_usage': True}", False)
        prompt, completion = ANSWER.prompt_tokens, ANSWER.completion_tokens
        expected = {"prompt": prompt, "completion": completion, "total": prompt + completion}
        llm_bench.probe.assert_delta("llm_tokens_total", expected)

    def test_its_cost_is_exact(self, llm_bench: Bench) -> None:
        self.succeed(llm_bench)
        probe = llm_bench.probe
        told, counted = probe.last.cost_usd, probe.cost
        if self.price is not None:
            prompt, completion = map(Decimal, self.price)
            told = (ANSWER.prompt_tokens * prompt + ANSWER.completion_tokens * completion) / 1_000_000
        elif told is None:
            self._require(probe.delta("llm_estimated_cost_usd") == 0, "nobody knows the price, and it has a cost")
        else:
            self._require(told, "the call cost 0 USD: if it is free, say so: price = ('0', '0')")
        same = counted == told if told is None or counted is None else abs(counted - told) < _EXACT
        self._require(same, f"the cost was counted as {counted}, and is {told} USD")

    def test_its_labels_are_the_calls(self, llm_bench: Bench) -> None:
        self.succeed(llm_bench)
        asked, backends = llm_bench.script.requests[-1].model, llm_bench.probe.last.meter.names()
        for series in llm_bench.probe.moved():
            labels = dict(series.labels)
            if labels.get("model", asked) not in (asked, "other") or labels.get("backend") not in {None, *backends}:
                names = " or ".join(sorted(backends))
                pytest.fail(f"{series}: the model {asked!r} was asked for, of the backend {names}", pytrace=False)

    def test_its_duration_is_observed(self, llm_bench: Bench) -> None:
        self.succeed(llm_bench)
        llm_bench.call(faults.SERVER_ERROR)
        count, total = (llm_bench.probe.delta(f"llm_request_duration_seconds_{each}") for each in ("count", "sum"))
        if count != len(llm_bench.wire.attempts) or not total > 0:
            pytest.fail(f"{len(llm_bench.wire.attempts)} attempts, and {count:g} durations of {total} s", pytrace=False)

    def test_it_is_active_while_it_is_in_flight(self, llm_bench: Bench) -> None:
        seen: list[float] = []
        llm_bench.wire.in_flight = lambda: seen.append(llm_bench.probe.value("llm_active_requests"))
        self.succeed(llm_bench)
        if seen != [1]:
            pytest.fail(f"llm_active_requests was {seen} while the call was in flight, not [1]", pytrace=False)
        self._require_idle(llm_bench)

    def test_what_it_exports_keeps_the_metrics_contract(self, llm_bench: Bench) -> None:
        self.succeed(llm_bench)
        llm_bench.call(faults.RATE_LIMIT)
        llm_bench.call(faults.READ_TIMEOUT)
        seen = scrapes(llm_bench.probe.last.meter.registry)
        # the buckets are a setting of whoever runs it
        wrong = [str(each) for name in CHECKS if name != "buckets" for each in check(name, seen)]
        if wrong:
            pytest.fail("\n".join(wrong), pytrace=False)

    # what goes wrong

    @_each(*faults.FAULTS.values())
    def test_a_fault(self, llm_bench: Bench, fault: Fault) -> None:
        out = self.meet(llm_bench, fault)
        interrupted = llm_bench.wire.attempts[0].interrupted
        status, error = ("cancelled", None) if interrupted else (fault.status, fault.error_type)
        counted = {status: 1.0}
        counted["success"] = counted.get("success", 0) + out.attempts - 1
        llm_bench.probe.assert_delta("llm_requests_total", counted)
        llm_bench.probe.assert_delta("llm_errors_total", {error: 1} if error else {})
        self._require_idle(llm_bench)
        if fault.status == "success":
            self._require(out.exception is None, f"{fault.name} is a success, and it raised {out.exception!r}")
        elif out.attempts == 1 and fault.name not in self.handled:
            says = f"it returned {out.value!r} as if nothing had happened: raise, or declare handled = [{fault.name!r}]"
            self._require(out.exception is not None, says)

    @_each(faults.USAGE_MISSING, faults.CUT)
    def test_tokens_that_nobody_told_are_estimated(self, llm_bench: Bench, fault: Fault) -> None:
        self.meet(llm_bench, fault)
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

    # who tries again

    @_each(*_PASSING)
    def test_attempts_are_bounded(self, llm_bench: Bench, fault: Fault) -> None:
        out = self.meet(llm_bench, fault, times=self.max_attempts + _MORE)
        says = "it tried until it was stopped" if out.endless else f"it tried {out.attempts} times"
        self._require(out.attempts <= self.max_attempts, f"{says}: max_attempts is {self.max_attempts}")

    @_each(*_LASTING)
    def test_what_cannot_succeed_is_not_tried_again(self, llm_bench: Bench, fault: Fault) -> None:
        out = self.meet(llm_bench, fault, times=self.max_attempts + _MORE)
        self._require(out.attempts == 1, f"it tried {out.attempts} times, which {fault.name} makes useless")

    def test_every_attempt_is_counted(self, llm_bench: Bench) -> None:
        out = self.meet(llm_bench, faults.UNAVAILABLE, times=self.max_attempts + _MORE)
        llm_bench.probe.assert_delta("llm_requests_total", {"failure": out.attempts})
        llm_bench.probe.assert_delta("llm_errors_total", {"api_error": out.attempts})

    @_each(*_SLOW)
    def test_the_deadline_is_kept(self, llm_bench: Bench, fault: Fault) -> None:
        out = self.meet(llm_bench, fault, times=self.max_attempts + _MORE)
        self._require(not out.endless, f"one call had gone on for {out.waited:g} s, and on, when it was stopped")
        limit = FOREVER if self.deadline is None else self.deadline
        took = "forever: a timeout is None" if out.waited >= FOREVER else f"{out.waited:g} s"
        self._require(out.waited < (limit or inf), f"one call takes {took}, and the deadline is {limit:g} s")

    def test_retry_after_is_kept(self, llm_bench: Bench) -> None:
        self.meet(llm_bench, faults.RATE_LIMIT)
        first, *later = llm_bench.wire.attempts
        if not later:
            pytest.skip("a rate limit is not tried again")
        wait, asked = later[0].at - first.at, float(faults.RATE_LIMIT.retry_after or 0)
        self._require(wait >= asked, f"it tried again after {wait:g} s: Retry-After said {asked:g}")

    # who may not call

    def test_a_refusal_reaches_the_caller(self, llm_bench: Bench, llm_budget: LlmBudget) -> None:
        self.succeed(llm_bench)
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

    # how

    def meet(self, llm_bench: Bench, fault: Fault, times: int = 1) -> Outcome:
        """One call that meets a fault; the test is skipped where the provider has none such."""
        if fault.name in self.faults_excluded:
            pytest.skip(f"{fault.name} is among faults_excluded")
        out = llm_bench.call(fault, times)
        if out.absent:
            pytest.skip(f"the provider's format has no {fault.name}")
        self._require(out.attempts > 0, "call() made no LLM call through httpx or httpx2")
        return out

    def _all(self) -> Iterator[Fault]:
        return (each for each in faults.FAULTS.values() if each.name not in self.faults_excluded)
