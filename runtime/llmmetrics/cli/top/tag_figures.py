"""Computes what the calls with each tag cost in a window of scrapes. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from llmmetrics.cli.top.readings import Series

COST, TOKENS = "llm_tagged_cost_usd_total", "llm_tagged_tokens_total"


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
