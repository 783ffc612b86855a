"""Tests of LLM calls that read the very counters production exports."""

from __future__ import annotations

from decimal import Decimal

__all__ = ["usd"]


def usd(amount: str | int | Decimal) -> Decimal:
    """An exact amount in USD, to compare `llm_metrics.cost` with: `usd("0.0000228")`."""
    if isinstance(amount, float):
        raise TypeError(f'usd({amount!r}): a float is not exact; write it as text, usd("{amount}")')
    return Decimal(amount)
