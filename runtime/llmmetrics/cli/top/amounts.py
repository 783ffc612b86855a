"""Formats numbers in a few characters, for the columns of a terminal. An unknown number is a hyphen."""

from __future__ import annotations

from llmmetrics.cli.top.quantiles import Latency

UNKNOWN = "-"
_SIZES = ((1e9, "G"), (1e6, "M"), (1e4, "k"))


def count(value: float | None) -> str:
    """Format a count, as in 9,999 and 12.3k."""
    if value is None:
        return UNKNOWN
    return _large(value) or f"{value:,.0f}"


def rate(value: float | None) -> str:
    """Format a rate, as in 0, <0.01, 0.25, 9.99, 42.5, 999 and 12.3k. Only a rate of 0 is shown as 0."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "0"
    if value < 0.01:
        return "<0.01"
    return _large(value) or f"{value:,.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def _large(value: float) -> str:
    for size, letter in _SIZES:
        if value >= size * 0.99995:
            of = 1e3 if letter == "k" else size
            return f"{value / of:.1f}{letter}" if value / of < 99.95 else f"{value / of:,.0f}{letter}"
    return ""


def usd(value: float | None) -> str:
    """Format an amount in USD, as in $0, <$0.000001, $0.000068, $0.0102, $12.34 and $12.3k."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "$0"
    if value < 0.000001:
        return "<$0.000001"
    return f"${_large(value) or f'{value:,.{6 if value < 0.001 else 4 if value < 0.99995 else 2}f}'}"


def part(value: float | None) -> str:
    """Format a share, as in 0%, <0.1%, 2.5% and 42%."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "0%"
    if value < 0.001:
        return "<0.1%"
    return f"{value * 100:,.{1 if value < 0.0995 else 0}f}%"


def seconds(latency: Latency | None) -> str:
    """Format a latency, as in 95ms, 2.5s, 42s and >60s."""
    if latency is None:
        return UNKNOWN
    value, sign = latency.seconds, ">" if latency.above else ""
    if value < 0.9995:
        return f"{sign}{value * 1000:.0f}ms"
    return f"{sign}{value:.{1 if value < 9.95 and not latency.above else 0}f}s"


def period(value: float) -> str:
    """Format a duration in seconds, as in 2 s and 1 min 30 s."""
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
