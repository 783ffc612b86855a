"""What a finding does: it is reported, warned of, or blocks."""

from __future__ import annotations

from typing import Literal

Mode = Literal["report", "warn", "block"]

MODES: tuple[Mode, ...] = ("report", "warn", "block")
"""The mildest first."""
