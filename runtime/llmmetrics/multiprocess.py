"""`MultiProcessCollector` under its public name."""

from llmmetrics.metrics.multiprocess import MultiProcessCollector

__all__ = ["MultiProcessCollector"]
