"""`llmmetrics top [URL]`: a live view of any program's `/metrics`, in a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from urllib.parse import SplitResult

from rich.console import Console, ConsoleDimensions
from rich.live import Live

from llmmetrics.cli.output.findings import shown
from llmmetrics.cli.top.amounts import period
from llmmetrics.cli.top.board import Fitted, board
from llmmetrics.cli.top.figures import overview
from llmmetrics.cli.top.frame import Frame
from llmmetrics.cli.top.keys import END, keys
from llmmetrics.cli.top.readings import EMPTY, ScrapeWindow, is_ours, scraped
from llmmetrics.errors import ConfigError
from llmmetrics.system.interrupts import stopping
from llmmetrics.testing.contract.exposition import Page
from llmmetrics.testing.contract.scraping import ScrapeError, UnreachableError, address, fetched

QUIT = ("q", "Q", END)

PATIENCE = 0.2
"""Seconds between two checks of the keyboard and of the terminal's size."""


def run(url: str, *, interval: float, once: bool = False, clock: Callable[[], float] = time.monotonic) -> int:
    """Run until q or Ctrl-C (once if stdout is not a terminal). Return 0, or 2 if there is nothing to show.

    `interval` is in seconds. `clock` gives the time of each scrape, for the rates; waiting uses real time.
    """
    try:
        parts = address(url)
        page = _page(parts)
    except (ConfigError, UnreachableError, ScrapeError) as exc:
        sys.stderr.write(f"llmmetrics: {shown(str(exc))}\n")
        return 2
    window = scraped(EMPTY, page, clock())
    console = Console()
    if once or not (sys.stdout.isatty() and console.is_interactive):
        console.print(board(overview(window), Frame(_address(parts), console.width, ascii=console.options.ascii_only)))
        return 0
    _watch(console, parts, window, interval, clock)
    return 0


def _address(parts: SplitResult) -> str:
    """Format the address without its query, which may hold a key."""
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _page(parts: SplitResult) -> Page:
    page = fetched(parts)
    if not is_ours(page):
        raise ScrapeError(
            f"{_address(parts)} answers, but has no llm_ metrics: give the address of a program that llmmetrics "
            "meters, or route its meter.asgi_app() or meter.wsgi_app() there"
        )
    return page


def _watch(
    console: Console, parts: SplitResult, window: ScrapeWindow, interval: float, clock: Callable[[], float]
) -> None:
    trouble = ""
    with stopping() as interrupted, keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        hint = "Ctrl-C quits" if pressed is None else "q quits"

        def draw() -> ConsoleDimensions:
            size = console.size
            frame = Frame(
                _address(parts), *size, live=True, hint=hint, trouble=trouble, ascii=console.options.ascii_only
            )
            live.update(Fitted(overview(window), frame), refresh=True)
            return size

        while not interrupted():
            drawn = draw()
            due = time.monotonic() + interval
            while (left := due - time.monotonic()) > 0:
                if (pressed or _slept)(min(left, PATIENCE)) in QUIT or interrupted():
                    return
                if console.size != drawn:
                    drawn = draw()
            try:
                window, trouble = scraped(window, _page(parts), clock()), ""
            except (UnreachableError, ScrapeError) as exc:
                what = str(exc).partition(": ")[0]
                trouble = f"{shown(what)}; these figures are {period(clock() - window.readings[-1].at)} old"


def _slept(seconds: float) -> str:
    time.sleep(seconds)
    return ""
