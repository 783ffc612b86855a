"""Meters LLM calls: documented Prometheus metrics, prices and budgets for every official SDK, unmodified."""

from typing import TYPE_CHECKING

from llmmetrics.budgets.run import Run
from llmmetrics.budgets.spend_alerts import SpendAlert
from llmmetrics.core.availability import BackendStatus
from llmmetrics.core.failover import afirst, first
from llmmetrics.core.spending import spending
from llmmetrics.core.tag_middleware import AsgiTags, WsgiTags
from llmmetrics.core.tags import tags
from llmmetrics.errors import BudgetExceeded, ConfigError, LedgerError, LlmMetricsError, NoBackendAvailable
from llmmetrics.instrumentation.process_wide import instrument, uninstrument
from llmmetrics.instrumentation.refusal import budget_exceeded
from llmmetrics.meter import Meter
from llmmetrics.reading.error_types import ErrorType, Status
from llmmetrics.reading.exchange import Exchange, read_exchange
from llmmetrics.settings.model import Settings
from llmmetrics.system.clock import Clock
from llmmetrics.wire.usage import Usage

__all__ = [
    "AsgiTags",
    "BackendStatus",
    "BudgetExceeded",
    "Clock",
    "ConfigError",
    "ErrorType",
    "Exchange",
    "LedgerError",
    "LlmMetricsError",
    "Meter",
    "NoBackendAvailable",
    "Run",
    "Settings",
    "SpendAlert",
    "Status",
    "Usage",
    "WsgiTags",
    "afirst",
    "budget_exceeded",
    "first",
    "instrument",
    "read_exchange",
    "spending",
    "tags",
    "uninstrument",
]

if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name):  # noqa: ANN001, ANN202 - hidden from type checkers, so that they see misspelt names
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # read on demand: most programs do not need it, and reading the metadata is slow
        from importlib.metadata import version

        return version("llmmetrics")
