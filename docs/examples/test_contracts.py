"""What any code that calls an LLM should do, and what any `/metrics` should say: suites to subclass."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from prometheus_client import CollectorRegistry
from summariser import Summariser

from llmmetrics import Meter
from pytest_llmmetrics import LlmProvider
from pytest_llmmetrics.contract import LlmClientContract, MeteredMetricsContract

KEY = "not-a-real-key-at-all"


class TestSummariser(LlmClientContract):
    """The application with its SDK as production has it: three attempts, of 15 seconds at most."""

    deadline = 60
    price = ("0.15", "0.60")

    @pytest.fixture(autouse=True)
    def _app(self) -> Iterator[None]:
        with openai.OpenAI(api_key=KEY, timeout=15) as client:
            self.app = Summariser(client)
            yield

    def call(self) -> str:
        """One call."""
        return self.app.summarise("a long text")

    def stream(self) -> Iterator[str]:
        """One call, piece by piece."""
        return self.app.stream("a long text")


@pytest.mark.usefixtures("llm_metrics")
class TestMetrics(MeteredMetricsContract):
    """What is exported while calls are made; a URL does as well as a registry."""

    @pytest.fixture(autouse=True)
    def _app(self, llm_meter: Meter, llm_provider: LlmProvider, app: Summariser) -> None:
        self.registry, self.app = llm_meter.registry, app
        llm_provider.reply("Short.")

    def between(self) -> None:
        """What moves the counters between two looks."""
        self.app.summarise("a long text")

    def metrics(self) -> CollectorRegistry:
        """What to look at."""
        return self.registry
