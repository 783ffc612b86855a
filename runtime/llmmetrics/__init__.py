"""Meters LLM calls: documented Prometheus metrics, prices and budgets for every official SDK, unmodified."""

from typing import TYPE_CHECKING

from llmmetrics.errors import BudgetExceeded, ConfigError, LedgerError, LlmMetricsError, NoBackendAvailable
from llmmetrics.meter import Meter

if TYPE_CHECKING:
    from llmmetrics.budgets.run import Run
    from llmmetrics.budgets.spend_alerts import SpendAlert
    from llmmetrics.core.availability import BackendStatus
    from llmmetrics.core.failover import afirst, first
    from llmmetrics.core.spending import spending
    from llmmetrics.core.tag_middleware import AsgiTags, WsgiTags
    from llmmetrics.core.tags import tags
    from llmmetrics.instrumentation.process_wide import instrument, uninstrument
    from llmmetrics.instrumentation.refusal import budget_exceeded
    from llmmetrics.reading.error_types import ErrorType, Status
    from llmmetrics.reading.exchange import Exchange, read_exchange
    from llmmetrics.settings.model import Settings
    from llmmetrics.system.clock import Clock
    from llmmetrics.wire.usage import Usage

    __version__: str

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

_MODULES = {
    "budgets.run": ("Run",),
    "budgets.spend_alerts": ("SpendAlert",),
    "core.availability": ("BackendStatus",),
    "core.failover": ("afirst", "first"),
    "core.spending": ("spending",),
    "core.tag_middleware": ("AsgiTags", "WsgiTags"),
    "core.tags": ("tags",),
    "instrumentation.process_wide": ("instrument", "uninstrument"),
    "instrumentation.refusal": ("budget_exceeded",),
    "reading.error_types": ("ErrorType", "Status"),
    "reading.exchange": ("Exchange", "read_exchange"),
    "settings.model": ("Settings",),
    "system.clock": ("Clock",),
    "wire.usage": ("Usage",),
}
"""Where the names are that are imported at their first use: no program needs all of them."""

if not TYPE_CHECKING:
    # hidden from type checkers, so that they see misspelt names

    def __getattr__(name):  # noqa: ANN001, ANN202
        from importlib import import_module

        if name == "__version__":
            # reading the metadata is slow
            return import_module("importlib.metadata").version("llmmetrics")
        for module, names in _MODULES.items():
            if name in names:
                value = globals()[name] = getattr(import_module(f"llmmetrics.{module}"), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():  # noqa: ANN202
        return sorted({*globals(), *__all__, "__version__"})
