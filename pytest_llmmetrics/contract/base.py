"""The base class of the client suite: the code under test, its declared properties, and its bench."""

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
"""The name of a budget refusal in `handled`."""

MORE = 5
"""The suite stops a client after this number of attempts over the limit."""


def each_of(*chosen: Fault) -> pytest.MarkDecorator:
    """Run the test once for each of these faults."""
    return pytest.mark.parametrize("fault", chosen, ids=[each.name for each in chosen])


class ClientContract:
    """The code under test. Each part of the suite adds tests."""

    __test__ = False

    max_attempts: int = 3
    """The maximum number of attempts of one call: the official SDKs retry twice."""
    deadline: float | None = None
    """The maximum time of one call in seconds, with its timeouts and back-off; None: any finite time."""
    faults_excluded: Collection[str | Fault] = ()
    """Faults that are not tested."""
    handled: Collection[str | Fault] = ()
    """Faults (and `budget`) after which `call` returns a value instead of raising."""
    price: tuple[str, str] | None = None
    """USD per million prompt and completion tokens; None: the configured price, or the catalogue's."""

    def call(self) -> Any:
        """Make one LLM call. It may be `async def`."""
        raise NotImplementedError("override call(): make one LLM call with the code under test")

    @pytest.fixture
    def llm_bench(
        self, llm_metrics: LlmMetrics, llm_provider: LlmProvider, caplog: pytest.LogCaptureFixture
    ) -> Iterator[Bench]:
        with bench(llm_metrics, llm_provider, caplog, self.call, self.max_attempts + MORE) as built:
            yield built

    def _meet(self, llm_bench: Bench, fault: Fault, times: int = 1) -> CallResult:
        """Make one call that meets a fault; skip the test if the provider's format has no such fault."""
        if fault.name in self.faults_excluded:
            pytest.skip(f"{fault.name} is in faults_excluded")
        out = llm_bench.call(fault, times)
        if out.absent:
            pytest.skip(f"the provider's format has no {fault.name}")
        self._require(out.attempts > 0, "call() made no LLM call through a library that is metered")
        return out

    def _all(self) -> Iterator[Fault]:
        return (each for each in faults.FAULTS.values() if each.name not in self.faults_excluded)

    def _succeed(self, llm_bench: Bench) -> CallResult:
        """Make one call without a fault."""
        out = llm_bench.call()
        if out.exception is not None:
            raise AssertionError(
                f"the provider answered without a fault, but call() raised {out.exception!r}"
            ) from out.exception
        self._require(out.attempts > 0, "call() made no LLM call through a library that is metered")
        self._require(
            out.attempts == 1, f"one call() made {out.attempts} requests: override call() to make one LLM request"
        )
        self._require(
            not out.unclosed, "the answer is not closed, so its connection never returns to the pool: close it"
        )
        return out

    def _require(self, holds: object, message: str) -> None:
        if not holds:
            pytest.fail(message, pytrace=False)

    def _require_idle(self, llm_bench: Bench) -> None:
        active = llm_bench.probe.value("llm_active_requests")
        self._require(active == 0, f"llm_active_requests is {active:g} after the end of the call, not 0")
