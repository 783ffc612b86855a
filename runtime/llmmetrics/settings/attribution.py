"""The settings of tags and runs: whose calls are counted apart."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from llmmetrics.settings.rates import Section

TagKey = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]{0,49}$")]
"""A tag's key: a name that `llmmetrics.tags` takes as an argument."""


class Attribution(Section):
    """Which tags are counted, and whether each call belongs to a run."""

    keys: tuple[TagKey, ...] = ()
    max_values: int = Field(default=50, ge=1)
    """How many values of a key have metrics of their own; the rest is counted as `other`."""
    hash: bool = False
    """Whether only a hash of each value is stored, exported and logged."""
    require_run: bool = False
    """Whether calls that belong to no run of `llmmetrics.spending` are refused."""
