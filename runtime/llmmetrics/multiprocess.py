"""`MultiProcessCollector`, under the name that it is imported by."""

from llmmetrics.metrics.multiprocess import MultiProcessCollector

__all__ = ["MultiProcessCollector"]
