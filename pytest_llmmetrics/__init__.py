"""pytest fixtures for code that calls an LLM: tests read the same counters that production exports."""

from __future__ import annotations

from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmmetrics.testing import Fault
    from pytest_llmmetrics.budgets import LlmBudget
    from pytest_llmmetrics.cassettes.match import CassetteMissError
    from pytest_llmmetrics.cassettes.playing import LlmCassette
    from pytest_llmmetrics.clock import LlmClock
    from pytest_llmmetrics.probe import LlmMetrics
    from pytest_llmmetrics.provider import LlmProvider, LlmServer

__all__ = [
    "CassetteMissError",
    "Fault",
    "LlmBudget",
    "LlmCassette",
    "LlmClock",
    "LlmMetrics",
    "LlmProvider",
    "LlmServer",
    "usd",
]

_TYPES = {
    "CassetteMissError": "pytest_llmmetrics.cassettes.match",
    "Fault": "llmmetrics.testing",
    "LlmBudget": "pytest_llmmetrics.budgets",
    "LlmCassette": "pytest_llmmetrics.cassettes.playing",
    "LlmClock": "pytest_llmmetrics.clock",
    "LlmMetrics": "pytest_llmmetrics.probe",
    "LlmProvider": "pytest_llmmetrics.provider",
    "LlmServer": "pytest_llmmetrics.provider",
}
"""The fixtures' types, for annotations. pytest imports this package at every start: they are loaded on first use."""


def __getattr__(name: str) -> Any:
    if name not in _TYPES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_TYPES[name]), name)


def usd(amount: str | int | Decimal) -> Decimal:
    """Make an exact amount in USD, to compare `llm_metrics.cost` with: `usd("0.01")`. Raises `TypeError` for floats."""
    if isinstance(amount, float):
        raise TypeError(f'usd({amount!r}): a float is not exact; write it as text, usd("{amount}")')
    try:
        return Decimal(amount)
    except (ArithmeticError, TypeError, ValueError):
        raise TypeError(f'usd({amount!r}): write the amount as text with a point, such as usd("0.01")') from None
