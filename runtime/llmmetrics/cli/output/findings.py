"""A finding of a command: a level, what is wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How serious a finding is. Only an error fails the command."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Exit(IntEnum):
    """Exit statuses of the commands that check something: `check`, `doctor`, `verify`, `rules check`."""

    FINE = 0
    FINDINGS = 1
    CANNOT_LOOK = 2


EXITS: Mapping[Exit, str] = {
    Exit.FINE: "nothing is wrong",
    Exit.FINDINGS: "something is wrong",
    Exit.CANNOT_LOOK: "the check cannot run",
}
"""What each status means. A check cannot run if a file is unreadable, an address is silent or an option is wrong."""


class Finding(NamedTuple):
    """One line of a report: what was seen, and what to do about it."""

    level: Level
    what: str
    do: str = ""

    def __str__(self) -> str:
        return f"{self.level:<8} {self.what}" + (f" -- {self.do}" if self.do else "")


def ok(what: str, do: str = "") -> Finding:
    """Make a finding that needs no action."""
    return Finding(Level.OK, what, do)


def warning(what: str, do: str) -> Finding:
    """Make a finding that may explain missing or wrong numbers."""
    return Finding(Level.WARNING, what, do)


def error(what: str, do: str = "") -> Finding:
    """Make a finding that must be fixed."""
    return Finding(Level.ERROR, what, do)


def shown(text: str) -> str:
    """Replace what a terminal must not receive in text from a document or the network."""
    return "".join(char if char.isprintable() else "?" for char in text)
