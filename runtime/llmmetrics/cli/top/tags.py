"""The tags on the screen of `llmmetrics top`: what the values of each key cost, the most expensive first."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from llmmetrics.cli.top import amounts
from llmmetrics.cli.top.frame import Frame, cut, more
from llmmetrics.cli.top.tag_figures import TagFigures

MOST = 5
"""Lines, at most."""


def tag_lines(tags: Sequence[TagFigures], hidden: int, frame: Frame) -> RenderableType:
    """Draw a line for each tag, and one for the number of hidden ones."""
    names = [f"{tag.key}={tag.value}" for tag in tags]
    width = min(max(map(cell_len, names)), frame.width - 35)
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True, width=width + 2)
    for each in (8, 9, 10):
        grid.add_column(no_wrap=True, width=each, justify="right")
    heads = ("tokens", "$/hour", "cost") if frame.live else ("tokens", "", "cost")
    grid.add_row("  tag", *heads, style="dim")
    for name, tag in zip(names, tags, strict=True):
        hourly = amounts.usd(tag.hourly) if frame.live else ""
        cost = Text("unknown", style="yellow") if tag.cost is None else Text(amounts.usd(tag.cost))
        grid.add_row(f"  {cut(name, width, frame.signs)}", amounts.count(tag.tokens), hourly, cost)
    if hidden:
        grid.add_row(more(hidden))
    return grid
