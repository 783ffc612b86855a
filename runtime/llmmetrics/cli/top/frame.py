"""The frame of a screen: its size, its characters, and cutting of long names."""

from __future__ import annotations

from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from llmmetrics.cli.output.findings import shown


class Signs(NamedTuple):
    """The characters for drawing."""

    healthy: str = "●"
    unhealthy: str = "✗"
    full: str = "█"
    empty: str = "░"
    cut: str = "…"


UNICODE, ASCII = Signs(), Signs("*", "x", "#", ".", "~")


class Frame(NamedTuple):
    """The size of a screen, and the texts around an overview."""

    url: str
    width: int
    height: int | None = None
    """In lines; None: no limit."""
    live: bool = False
    """Whether the screen is updated, so that there are rates."""
    hint: str = ""
    """How to quit."""
    trouble: str = ""
    """Why the last scrape failed."""
    ascii: bool = False
    """Whether the terminal shows ASCII only."""
    title: str = "llmmetrics top"
    """The name of the command."""

    @property
    def signs(self) -> Signs:
        """The characters that the terminal can show."""
        return ASCII if self.ascii else UNICODE


def cut(text: str, width: int, signs: Signs) -> str:
    """Cut a name from the page to `width` cells, without control characters."""
    text = shown(text)
    return text if cell_len(text) <= width else set_cell_size(text, max(width - 1, 0)) + signs.cut


def more(hidden: int) -> Text:
    """Make the line that counts the hidden rows."""
    return Text(f"  + {hidden} more", style="dim")
