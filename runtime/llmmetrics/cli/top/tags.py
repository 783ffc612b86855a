"""The tags on the screen of `llmmetrics top`: what the values of each key cost, the most expensive first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from llmmetrics.cli.top import amounts
from llmmetrics.cli.top.frame import Frame, cut, more
from llmmetrics.cli.top.readings import Series

COST, TOKENS = "llm_tagged_cost_usd_total", "llm_tagged_tokens_total"

MOST = 5
"""Lines, at most."""


class TagFigures(NamedTuple):
    """What the calls with a tag came to, at all backends."""

    key: str
    value: str
    hourly: float | None
    """USD per hour in the window; None: a single scrape, or no price is known."""
    cost: float | None
    """USD, since the process started; None: no price is known."""
    tokens: float
    """Prompt and completion, since the process started."""


def tags_of(
    now: Mapping[Series, float], grown: Mapping[Series, float], seconds: float | None
) -> tuple[TagFigures, ...]:
    """Compute the figures of each tag, the most expensive of the window first."""
    costs, growth, tokens = (defaultdict[tuple[str, str], float](float) for _ in range(3))
    for (name, pairs), value in now.items():
        labels = dict(pairs)
        tag = labels.get("key", ""), labels.get("value", "")
        if name == COST:
            costs[tag] += value
            growth[tag] += grown[name, pairs]
        elif name == TOKENS and labels.get("token_type") == "total":
            tokens[tag] += value
    rows = []
    for tag in costs.keys() | tokens.keys():
        cost = costs.get(tag)
        hourly = None if seconds is None or cost is None else growth[tag] / seconds * 3600
        rows.append(TagFigures(*tag, hourly, cost, tokens[tag]))
    return tuple(sorted(rows, key=lambda row: (-(row.hourly or 0.0), -(row.cost or 0.0), -row.tokens, row[:2])))


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
