"""Where a screen is drawn, what it is drawn with, and what is too long for it."""

from __future__ import annotations

from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from llmmetrics.cli.output.findings import shown


class Signs(NamedTuple):
    """What is drawn with."""

    healthy: str = "●"
    unhealthy: str = "✗"
    full: str = "█"
    empty: str = "░"
    cut: str = "…"


UNICODE, ASCII = Signs(), Signs("*", "x", "#", ".", "~")


class Frame(NamedTuple):
    """Where an overview is shown, and what is said around it."""

    url: str
    width: int
    height: int | None = None
    """In lines; None: as many as it takes."""
    live: bool = False
    """Whether it goes on, so that there are rates."""
    hint: str = ""
    """What ends it."""
    trouble: str = ""
    """Why the last scrape failed."""
    ascii: bool = False
    """Whether the terminal has no other letters."""
    title: str = "llmmetrics top"
    """The program that shows it."""

    @property
    def signs(self) -> Signs:
        """What it can draw with."""
        return ASCII if self.ascii else UNICODE


def cut(text: str, width: int, signs: Signs) -> str:
    """A name from the page, as a terminal may have it, in so many of its cells at most."""
    text = shown(text)
    return text if cell_len(text) <= width else set_cell_size(text, max(width - 1, 0)) + signs.cut


def more(hidden: int) -> Text:
    """The line in the place of what there is no room for."""
    return Text(f"  + {hidden} more", style="dim")
