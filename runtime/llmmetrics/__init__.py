"""Meters LLM calls: documented Prometheus metrics, prices and budgets for every official SDK, unmodified."""

from typing import TYPE_CHECKING

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

    __version__: str
else:
    # the same names, imported when they are first used: a program that only catches our errors, or sets tags,
    # does not pay for the meter
    _MODULES = {
        "budgets.run": ("Run",),
        "budgets.spend_alerts": ("SpendAlert",),
        "core.availability": ("BackendStatus",),
        "core.failover": ("afirst", "first"),
        "core.spending": ("spending",),
        "core.tag_middleware": ("AsgiTags", "WsgiTags"),
        "core.tags": ("tags",),
        "errors": ("BudgetExceeded", "ConfigError", "LedgerError", "LlmMetricsError", "NoBackendAvailable"),
        "instrumentation.process_wide": ("instrument", "uninstrument"),
        "instrumentation.refusal": ("budget_exceeded",),
        "meter": ("Meter",),
        "reading.error_types": ("ErrorType", "Status"),
        "reading.exchange": ("Exchange", "read_exchange"),
        "settings.model": ("Settings",),
        "system.clock": ("Clock",),
        "wire.usage": ("Usage",),
    }

    def __getattr__(name):  # noqa: ANN001, ANN202 - hidden from type checkers, so that they see misspelt names
        if name == "__version__":
            from importlib.metadata import version

            return version("llmmetrics")
        module = next((module for module, names in _MODULES.items() if name in names), None)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"{__name__}.{module}"), name)
        globals()[name] = value
        return value

    def __dir__():  # noqa: ANN202
        return sorted({*globals(), *__all__})
