"""What `llmmetrics doctor` has found: a level, what it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How bad it is. Only an error fails the command."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Exit(IntEnum):
    """How a command ends that looks for something wrong: `check`, `doctor`, `verify`, `rules check`."""

    FINE = 0
    FINDINGS = 1
    CANNOT_LOOK = 2


EXITS: Mapping[Exit, str] = {
    Exit.FINE: "nothing is wrong",
    Exit.FINDINGS: "something is wrong",
    Exit.CANNOT_LOOK: "it cannot look",
}
"""When a command ends so. It cannot look at a file that cannot be read, where nobody answers, when called wrongly."""


class Finding(NamedTuple):
    """One line of the doctor's report."""

    level: Level
    what: str
    do: str = ""

    def __str__(self) -> str:
        return f"{self.level:<8} {self.what}" + (f" -- {self.do}" if self.do else "")


def ok(what: str, do: str = "") -> Finding:
    """Something that is as it should be, or that is only good to know."""
    return Finding(Level.OK, what, do)


def warning(what: str, do: str) -> Finding:
    """Something that may be why numbers are missing or wrong."""
    return Finding(Level.WARNING, what, do)


def error(what: str, do: str = "") -> Finding:
    """Something that must be changed before there are numbers."""
    return Finding(Level.ERROR, what, do)


def shown(text: str) -> str:
    """Text from a document or from the network, as a terminal may have it."""
    return "".join(each if each.isprintable() else "?" for each in text)
