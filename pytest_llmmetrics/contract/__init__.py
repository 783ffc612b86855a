"""Test suites to subclass: for code that calls an LLM, and for a `/metrics` endpoint.

class TestSummariser(LlmClientContract):
def call(self):
return summarise("a text")
"""

from pytest_llmmetrics.contract.client import LlmClientContract
from pytest_llmmetrics.contract.metrics import MeteredMetricsContract

__all__ = ["LlmClientContract", "MeteredMetricsContract"]
