"""Meters LLM calls: documented Prometheus metrics, prices and budgets for every official SDK, unmodified."""

from llmmetrics.budget import SpendAlert
from llmmetrics.classify import ErrorType, Status
from llmmetrics.clock import Clock
from llmmetrics.errors import BudgetExceeded, ConfigError, LedgerError, LlmMetricsError
from llmmetrics.exchange import Exchange, read_exchange
from llmmetrics.instrument import instrument, uninstrument
from llmmetrics.meter import Meter
from llmmetrics.refusal import budget_exceeded
from llmmetrics.settings import Settings
from llmmetrics.usage import Usage

__all__ = [
    "BudgetExceeded",
    "Clock",
    "ConfigError",
    "ErrorType",
    "Exchange",
    "LedgerError",
    "LlmMetricsError",
    "Meter",
    "Settings",
    "SpendAlert",
    "Status",
    "Usage",
    "budget_exceeded",
    "instrument",
    "read_exchange",
    "uninstrument",
]
