"""The screen of `llmmetrics top` and the demo: draws an overview with rich, at any width and height. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from llmmetrics.cli.top import amounts
from llmmetrics.cli.top.bars import bars, budgets_of
from llmmetrics.cli.top.cells import NARROW, ONCE, WIDE, TableLine
from llmmetrics.cli.top.figures import BackendFigures, Overview
from llmmetrics.cli.top.frame import Frame, Signs, cut, more
from llmmetrics.cli.top.tags import MOST as MOST_TAGS
from llmmetrics.cli.top.tags import tag_lines

BROAD = 110
"""Minimum width, in cells, for the columns of models and of errors by type."""

LOW = 8
"""Minimum number of lines for showing budgets, and then tags, below the backends."""


def board(overview: Overview, frame: Frame) -> RenderableType:
    """Draw the whole screen."""
    notes = _notes(overview, frame)
    budgets = budgets_of(overview.backends)
    room, most, tagged = None, len(budgets), min(len(overview.tags), MOST_TAGS)
    if frame.height is not None:
        # the rest is for the title, the table's head and total, the notes, and an empty line before each part
        room = frame.height - 3 - (len(overview.backends) > 1) - (len(notes) + 1 if notes else 0)
        most = min(most, room // 3 if room >= LOW else 0)
        room -= most + 2 + (most < len(budgets)) if most else 0
        tagged = min(tagged, room // 3 if room >= LOW else 0)
        room -= tagged + 2 + (tagged < len(overview.tags)) if tagged else 0
    parts = [_title(overview, frame), Text(), _backends(overview, frame, room)]
    if most:
        parts += [Text(), bars(budgets[:most], len(budgets) - most, frame)]
    if tagged:
        parts += [Text(), tag_lines(overview.tags[:tagged], len(overview.tags) - tagged, frame)]
    if notes:
        parts += [Text(), *notes]
    return Group(*parts)


class Fitted(NamedTuple):
    """A board in the terminal's size at the moment of drawing: the user may be resizing the window."""

    overview: Overview
    frame: Frame

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield board(self.overview, self.frame._replace(width=options.max_width, height=options.height))


def _title(overview: Overview, frame: Frame) -> RenderableType:
    unhealthy = sum(each.healthy is False for each in overview.backends)
    health = Text(f"{unhealthy} unhealthy", "bold red") if unhealthy else Text("all healthy", "green")
    since = "since its start" if overview.seconds is None else f"last {amounts.period(overview.seconds)}"
    right = Text.assemble(health if any(each.healthy is not None for each in overview.backends) else "", f"  {since}")
    left = Text.assemble((frame.title, "bold"), "  ")
    left.append(cut(frame.url, frame.width - len(left) - len(right) - 2, frame.signs), style="cyan")
    grid = Table.grid(expand=True)
    grid.add_column(no_wrap=True, ratio=1)
    grid.add_column(no_wrap=True, justify="right")
    grid.add_row(left, right)
    return grid


def _backends(overview: Overview, frame: Frame, room: int | None) -> RenderableType:
    if not overview.backends:
        return Text("the program has no configured backend, and no call has been counted yet", style="yellow")
    broad = frame.width >= BROAD
    columns = ONCE if not frame.live else WIDE if broad else NARROW
    lines, hidden = _lines(overview.backends, room)
    left = frame.width - sum(1 + each.width for each in columns)
    names, models, types = _widths(lines, left) if broad else (left, 0, 0)
    grid = Table.grid(padding=(0, 1, 0, 0))
    for width in (names, models) if broad else (names,):
        grid.add_column(width=width, no_wrap=True)
    for column in columns:
        grid.add_column(width=column.width, no_wrap=True, justify="right")
    if broad:
        grid.add_column(width=types, no_wrap=True)

    def add(line: TableLine, name: Text, *, style: str = "") -> None:
        model = (Text(cut(line.model or "", models, frame.signs), style="dim"),) if broad else ()
        errors = (_errors(line, types, frame),) if broad else ()
        grid.add_row(name, *model, *(each.cell(line) for each in columns), *errors, style=style)

    heads = [each.head for each in columns]
    grid.add_row("  backend", *(("model", *heads, "errors by type") if broad else heads), style="dim")
    for line in lines:
        add(line, _name(line, names, frame.signs, broad=broad))
    if hidden:
        grid.add_row(more(hidden))
    if len(overview.backends) > 1:
        add(TableLine(overview.all), Text("  total"), style="bold")
    return grid


def _lines(backends: Sequence[BackendFigures], room: int | None) -> tuple[list[TableLine], int]:
    """Choose the rows that fit; return them and the number of hidden backends. Models are hidden first."""
    lines = []
    for backend in backends:
        alone = next(iter(backend.models)) if len(backend.models) == 1 else None
        lines.append(TableLine(backend.all, backend, alone))
        if len(backend.models) > 1:
            lines += [TableLine(figures, None, model) for model, figures in backend.models.items()]
    if room is None or len(lines) <= room:
        return lines, 0
    lines = [each for each in lines if each.backend]
    fitting = len(lines) if len(lines) <= room else max(room - 1, 1)
    return lines[:fitting], len(lines) - fitting


def _widths(lines: Sequence[TableLine], left: int) -> tuple[int, int, int]:
    """Compute the widths of names, models and errors on a broad screen; names and models get two fifths at most."""
    names = max(cell_len(each.backend.name) + 2 for each in lines if each.backend)
    models = max(cell_len(each.model or "") for each in lines)
    names, models = (min(max(each, 7), left * 2 // 5) for each in (names, models))
    return names, models, left - names - models - 2


def _name(line: TableLine, width: int, signs: Signs, *, broad: bool) -> Text:
    if line.backend is None:
        return Text() if broad else Text(f"    {cut(line.model or '', width - 4, signs)}", style="dim")
    sign, style = {True: (signs.healthy, "green"), False: (signs.unhealthy, "bold red"), None: ("?", "yellow")}[
        line.backend.healthy
    ]
    name = cut(line.backend.name, width - 2, signs)
    return Text.assemble((f"{sign} ", style), (name, "red" if line.backend.healthy is False else ""))


def _errors(line: TableLine, width: int, frame: Frame) -> Text:
    errors = line.backend.errors if line.backend else {}
    return Text(
        cut(", ".join(f"{kind} {amounts.count(n)}" for kind, n in errors.items()), width, frame.signs), "yellow"
    )


def _notes(overview: Overview, frame: Frame) -> list[Text]:
    """Make the notes at the bottom, one line each."""
    notes = []
    if overview.all.unpriced:
        notes.append(Text("unknown, +?: calls without a known price (llmmetrics check shows prices)", style="yellow"))
    if overview.unread:
        lines = "a line of the page" if overview.unread == 1 else f"{overview.unread} lines of the page"
        notes.append(Text(f"{lines} cannot be read: run llmmetrics verify for details", style="yellow"))
    if frame.trouble:
        notes.append(Text(frame.trouble, style="bold red"))
    if frame.hint:
        notes.append(Text(frame.hint, style="dim"))
    for each in notes:
        each.plain = cut(each.plain, frame.width, frame.signs)
        each.no_wrap = True
    return notes
