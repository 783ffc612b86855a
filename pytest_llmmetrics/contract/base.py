"""What every part of the client suite stands on: the code under test, what is declared of it, and its bench."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import pytest

from llmmetrics.testing import Fault
from pytest_llmmetrics import faults
from pytest_llmmetrics.contract.bench import Bench, CallResult, bench
from pytest_llmmetrics.probe import LlmMetrics
from pytest_llmmetrics.provider import LlmProvider

BUDGET = "budget"
"""What `handled` calls a refusal by the budget."""

MORE = 5
"""So many attempts above what is allowed, a client is stopped."""


def each_of(*chosen: Fault) -> pytest.MarkDecorator:
    """The test once for each of these faults."""
    return pytest.mark.parametrize("fault", chosen, ids=[each.name for each in chosen])


class ClientContract:
    """The code under test; a part of the suite adds its tests."""

    __test__ = False

    max_attempts: int = 3
    """How often one call may go over the wire: the official SDKs try twice more."""
    deadline: float | None = None
    """Seconds that one call may take, with every timeout and back-off in it; None: any, but not forever."""
    faults_excluded: Collection[str | Fault] = ()
    """Faults to leave out."""
    handled: Collection[str | Fault] = ()
    """Faults after which `call` returns something instead of raising, and `budget`."""
    price: tuple[str, str] | None = None
    """USD per million prompt and completion tokens; None: whatever is configured, or the catalogue says."""

    def call(self) -> Any:
        """Make one LLM call. It may be `async def`."""
        raise NotImplementedError("say in call() how the code under test makes one LLM call")

    @pytest.fixture
    def llm_bench(
        self, llm_metrics: LlmMetrics, llm_provider: LlmProvider, caplog: pytest.LogCaptureFixture
    ) -> Iterator[Bench]:
        with bench(llm_metrics, llm_provider, caplog, self.call, self.max_attempts + MORE) as made:
            yield made

    def _meet(self, llm_bench: Bench, fault: Fault, times: int = 1) -> CallResult:
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

    def _succeed(self, llm_bench: Bench) -> CallResult:
        """One call that nothing goes wrong with."""
        out = llm_bench.call()
        if out.exception is not None:
            raise AssertionError(f"the provider answered, and call() raised {out.exception!r}") from out.exception
        self._require(out.attempts > 0, "call() made no LLM call through httpx or httpx2")
        self._require(out.attempts == 1, f"one call() is {out.attempts} requests: the suite needs one that is one")
        self._require(not out.unclosed, "the answer is not closed: its connection never returns to the pool")
        return out

    def _require(self, holds: object, says: str) -> None:
        if not holds:
            pytest.fail(says, pytrace=False)

    def _require_idle(self, llm_bench: Bench) -> None:
        active = llm_bench.probe.value("llm_active_requests")
        self._require(active == 0, f"llm_active_requests is {active:g} after the call is over")
