"""Tables for a terminal: columns side by side, amounts and moments as a person reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal


def number(n: int, noun: str) -> str:
    """Return a number with its noun, which has a plural with s."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Align rows in columns; return a line for each row."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n"


def money(usd: Decimal | None) -> str:
    """Format an amount in full, never as 1E+1."""
    return "-" if usd is None else f"{usd:f}"


def when(moment: datetime) -> str:
    """Format a moment in UTC, to the minute."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
