"""Suites to subclass: what any code that calls an LLM should do, and what any `/metrics` should say.

class TestSummariser(LlmClientContract):
def call(self):
return summarise("a text")
"""

from pytest_llmmetrics.contract.client import LlmClientContract
from pytest_llmmetrics.contract.metrics import MeteredMetricsContract

__all__ = ["LlmClientContract", "MeteredMetricsContract"]
