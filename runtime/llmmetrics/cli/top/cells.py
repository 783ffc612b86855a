"""The columns of `llmmetrics top`: the cells of a backend, of one of its models, or of all backends."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rich.text import Text

from llmmetrics.cli.top import amounts
from llmmetrics.cli.top.figures import BackendFigures, CallFigures

FAILING = 0.05
"""The share of failed calls from which on it is shown in red."""


class TableLine(NamedTuple):
    """A row: of a backend, of one of its models (`backend` is None), or of all backends (both are None)."""

    figures: CallFigures
    backend: BackendFigures | None = None
    model: str | None = None


class Column(NamedTuple):
    """A column of numbers."""

    head: str
    width: int
    cell: Callable[[TableLine], Text]


def _of(head: str, width: int, text: Callable[[CallFigures], str]) -> Column:
    def cell(line: TableLine) -> Text:
        cell_text = text(line.figures)
        return Text(cell_text, style="dim" if cell_text in ("0", "$0", amounts.UNKNOWN) else "")

    return Column(head, width, cell)


def _tokens(figures: CallFigures) -> str:
    both = figures.prompt_rate, figures.completion_rate
    return amounts.rate(None if both[0] is None or both[1] is None else both[0] + both[1])


def _failed(line: TableLine) -> Text:
    failed = line.figures.failed
    return Text(amounts.part(failed), style="dim" if not failed else "bold red" if failed >= FAILING else "yellow")


def _cost(line: TableLine) -> Text:
    figures = line.figures
    if figures.cost is None:
        return Text("unknown", style="yellow") if figures.unpriced else Text(amounts.UNKNOWN, style="dim")
    return Text(amounts.usd(figures.cost)).append("+?" if figures.unpriced else "", style="yellow")


def _active(line: TableLine) -> Text:
    return Text(amounts.count(line.backend.active) if line.backend and line.backend.active else "", style="bold cyan")


_CALLS = _of("calls", 6, lambda of: amounts.count(of.calls))
_RATE = _of("req/s", 5, lambda of: amounts.rate(of.rate))
_FAILED = Column("errors", 6, _failed)
_P95 = _of("p95", 6, lambda of: amounts.seconds(of.p95))
_HOURLY = _of("$/hour", 9, lambda of: amounts.usd(of.hourly))
_COST = Column("cost", 10, _cost)
_ACTIVE = Column("active", 6, _active)

NARROW = (_CALLS, _RATE, _ACTIVE, _FAILED, _P95, _of("tok/s", 6, _tokens), _HOURLY, _COST)
WIDE = (
    *(_CALLS, _RATE, _ACTIVE, _FAILED, _P95),
    _of("in/s", 6, lambda of: amounts.rate(of.prompt_rate)),
    _of("out/s", 6, lambda of: amounts.rate(of.completion_rate)),
    *(_HOURLY, _COST),
)
ONCE = (
    *(_CALLS, _ACTIVE, _FAILED, _P95),
    _of("tokens in", 9, lambda of: amounts.count(of.prompt)),
    _of("out", 7, lambda of: amounts.count(of.completion)),
    _COST,
)
"""The columns for a single scrape, which has no rates."""
