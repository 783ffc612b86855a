"""Money of budgets: integer pico-dollars inside, USD outside, attodollars where prices come from."""

from __future__ import annotations

from decimal import Decimal

_ATTO = 10**6
"""Attodollars in a pico-dollar."""


def usd(pico: int) -> Decimal:
    """Convert pico-dollars to USD, without zeros at the end."""
    amount = Decimal(pico).scaleb(-12)
    whole = amount.to_integral_value()
    return whole if whole == amount else amount.normalize()


def pico(atto: int) -> int:
    """Round attodollars to the nearest pico-dollar."""
    return (atto + _ATTO // 2) // _ATTO


def pico_up(atto: int) -> int:
    """Round attodollars up to pico-dollars."""
    return -(-atto // _ATTO)
