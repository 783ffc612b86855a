"""How the gate reacts to a finding: it reports, warns or blocks."""

from __future__ import annotations

from typing import Literal

Mode = Literal["report", "warn", "block"]

MODES: tuple[Mode, ...] = ("report", "warn", "block")
"""The mildest first."""
