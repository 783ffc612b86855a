"""Meters LLM calls: documented Prometheus metrics, prices and budgets for every official SDK, unmodified."""

from llmmetrics.classify import ErrorType, Status
from llmmetrics.clock import Clock
from llmmetrics.errors import ConfigError, LlmMetricsError
from llmmetrics.exchange import Exchange, read_exchange
from llmmetrics.instrument import instrument, uninstrument
from llmmetrics.meter import Meter
from llmmetrics.settings import Settings
from llmmetrics.usage import Usage

__all__ = [
    "Clock",
    "ConfigError",
    "ErrorType",
    "Exchange",
    "LlmMetricsError",
    "Meter",
    "Settings",
    "Status",
    "Usage",
    "instrument",
    "read_exchange",
    "uninstrument",
]
