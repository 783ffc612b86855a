"""What `llmmetrics top` shows: an overview as rich draws it, at any width and height. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from llmmetrics.screen import amounts
from llmmetrics.screen.cells import ASCII, NARROW, ONCE, UNICODE, WIDE, Line, Signs, cut
from llmmetrics.screen.figures import Backend, Budget, Overview

BROAD = 110
"""Cells from which on there is room for the models beside their backends, and for the errors by type."""

LOW = 8
"""Lines below which there is no room for the budgets beside the backends."""

BAR = 40
"""How long a budget's bar is at most."""

COLOURS = ((1.0, "red"), (0.8, "yellow"), (0.0, "green"))
"""Of a budget, by the part of it that is spent from which on it has it: where `SpendAlerts` warn, too."""


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

    @property
    def signs(self) -> Signs:
        """What it can draw with."""
        return ASCII if self.ascii else UNICODE


def board(overview: Overview, frame: Frame) -> RenderableType:
    """The whole screen."""
    notes = _notes(overview, frame)
    budgets = sorted(((each.name, each.budget) for each in overview.backends if each.budget), key=_fullest)
    room, most = None, len(budgets)
    if frame.height is not None:
        # but for the title, the table's head and total, what else is said, and an empty line before each part
        room = frame.height - 3 - (len(overview.backends) > 1) - (len(notes) + 1 if notes else 0)
        most = min(most, room // 3 if room >= LOW else 0)
        room -= most + 2 + (most < len(budgets)) if most else 0
    parts = [_title(overview, frame), Text(), _backends(overview, frame, room)]
    if most:
        parts += [Text(), _budgets(budgets[:most], len(budgets) - most, frame)]
    if notes:
        parts += [Text(), *notes]
    return Group(*parts)


def _title(overview: Overview, frame: Frame) -> RenderableType:
    unhealthy = sum(each.healthy is False for each in overview.backends)
    health = Text(f"{unhealthy} unhealthy", "bold red") if unhealthy else Text("all healthy", "green")
    since = "since it began" if overview.seconds is None else f"last {amounts.period(overview.seconds)}"
    right = Text.assemble(health if any(each.healthy is not None for each in overview.backends) else "", f"  {since}")
    left = Text.assemble(("llmmetrics top", "bold"), "  ")
    left.append(cut(frame.url, frame.width - len(left) - len(right) - 2, frame.signs), style="cyan")
    made = Table.grid(expand=True)
    made.add_column(no_wrap=True, ratio=1)
    made.add_column(no_wrap=True, justify="right")
    made.add_row(left, right)
    return made


def _backends(overview: Overview, frame: Frame, room: int | None) -> RenderableType:
    if not overview.backends:
        return Text("no backend is configured there, and none has been called yet", style="yellow")
    broad = frame.width >= BROAD
    columns = ONCE if not frame.live else WIDE if broad else NARROW
    lines, hidden = _lines(overview.backends, room)
    left = frame.width - sum(1 + each.width for each in columns)
    names, models, types = _widths(lines, left) if broad else (left, 0, 0)
    made = Table.grid(padding=(0, 1, 0, 0))
    for width in (names, models) if broad else (names,):
        made.add_column(width=width, no_wrap=True)
    for column in columns:
        made.add_column(width=column.width, no_wrap=True, justify="right")
    if broad:
        made.add_column(width=types, no_wrap=True)

    def add(line: Line, name: Text, *, style: str = "") -> None:
        model = (Text(cut(line.model or "", models, frame.signs), style="dim"),) if broad else ()
        errors = (_errors(line, types, frame),) if broad else ()
        made.add_row(name, *model, *(each.cell(line) for each in columns), *errors, style=style)

    heads = [each.head for each in columns]
    made.add_row("  backend", *(("model", *heads, "errors by type") if broad else heads), style="dim")
    for line in lines:
        add(line, _name(line, names, frame.signs, broad=broad))
    if hidden:
        made.add_row(_more(hidden))
    if len(overview.backends) > 1:
        add(Line(overview.all), Text("  total"), style="bold")
    return made


def _lines(backends: Sequence[Backend], room: int | None) -> tuple[list[Line], int]:
    """The rows that there is room for, and how many backends are hidden. Models go first."""
    lines = []
    for backend in backends:
        alone = next(iter(backend.models)) if len(backend.models) == 1 else None
        lines.append(Line(backend.all, backend, alone))
        if len(backend.models) > 1:
            lines += [Line(figures, None, model) for model, figures in backend.models.items()]
    if room is None or len(lines) <= room:
        return lines, 0
    lines = [each for each in lines if each.backend]
    fitting = len(lines) if len(lines) <= room else max(room - 1, 1)
    return lines[:fitting], len(lines) - fitting


def _widths(lines: Sequence[Line], left: int) -> tuple[int, int, int]:
    """Of the names, the models and the errors, on a broad screen: what is long gets two fifths at most."""
    names = max(cell_len(each.backend.name) + 2 for each in lines if each.backend)
    models = max(cell_len(each.model or "") for each in lines)
    names, models = (min(max(each, 7), left * 2 // 5) for each in (names, models))
    return names, models, left - names - models - 2


def _name(line: Line, width: int, signs: Signs, *, broad: bool) -> Text:
    if line.backend is None:
        return Text() if broad else Text(f"    {cut(line.model or '', width - 4, signs)}", style="dim")
    sign, style = {True: (signs.healthy, "green"), False: (signs.unhealthy, "bold red"), None: ("?", "yellow")}[
        line.backend.healthy
    ]
    name = cut(line.backend.name, width - 2, signs)
    return Text.assemble((f"{sign} ", style), (name, "red" if line.backend.healthy is False else ""))


def _errors(line: Line, width: int, frame: Frame) -> Text:
    errors = line.backend.errors if line.backend else {}
    return Text(
        cut(", ".join(f"{kind} {amounts.count(n)}" for kind, n in errors.items()), width, frame.signs), "yellow"
    )


def _more(hidden: int) -> Text:
    return Text(f"  + {hidden} more", style="dim")


def _used(budget: Budget) -> float | None:
    if budget.spent is None or budget.limit is None:
        return None
    return budget.spent / budget.limit if budget.limit else 1.0


def _fullest(budget: tuple[str, Budget]) -> tuple[float, str]:
    """What nobody knows stands first, then what is spent most."""
    used = _used(budget[1])
    return -(float("inf") if used is None else used), budget[0]


def _budgets(budgets: Sequence[tuple[str, Budget]], hidden: int, frame: Frame) -> RenderableType:
    rows = [(name, _used(budget), _spent(budget), _refused(budget)) for name, budget in budgets]
    names = min(max(cell_len(name) + 2 for name, *_ in rows), frame.width // 3)
    # after it: the part that is spent, and what is said of it, at its longest
    bar = min(max(frame.width - names - 9 - max(len(spent) + len(refused) for *_, spent, refused in rows), 8), BAR)
    made = Table.grid(padding=(0, 1, 0, 0))
    made.add_column(no_wrap=True, width=names)
    made.add_column(no_wrap=True, width=bar)
    made.add_column(no_wrap=True, width=5, justify="right")
    made.add_column(no_wrap=True)
    made.add_column(no_wrap=True)
    made.add_row("  budget", style="dim")
    for name, used, spent, refused in rows:
        colour = next(colour for part, colour in COLOURS if (used or 0.0) >= part)
        full = round(min(used or 0.0, 1.0) * bar)
        drawn = Text.assemble((frame.signs.full * full, colour), (frame.signs.empty * (bar - full), "dim"))
        name_, part = f"  {cut(name, names - 2, frame.signs)}", Text(amounts.part(used), style=f"bold {colour}")
        made.add_row(Text(name_), drawn, part, spent, Text(refused, style="yellow"))
    if hidden:
        made.add_row(_more(hidden))
    return made


def _spent(budget: Budget) -> str:
    if budget.spent is None or budget.limit is None:
        return "unknown"
    return f"{amounts.usd(budget.spent)} of {amounts.usd(budget.limit)}"


def _refused(budget: Budget) -> str:
    told = (("refused", budget.refused), ("would refuse", budget.would_refuse))
    return ", ".join(f"{what} {amounts.count(n)}" for what, n in told if n)


def _notes(overview: Overview, frame: Frame) -> list[Text]:
    """What is said below, a line each."""
    notes = []
    if overview.all.unpriced:
        notes.append(
            Text("unknown, +?: calls whose price nobody knows (llmmetrics check shows prices)", style="yellow")
        )
    if overview.unread:
        lines = "a line of the page" if overview.unread == 1 else f"{overview.unread} lines of the page"
        notes.append(Text(f"{lines} cannot be read: llmmetrics verify says which", style="yellow"))
    if frame.trouble:
        notes.append(Text(frame.trouble, style="bold red"))
    if frame.hint:
        notes.append(Text(frame.hint, style="dim"))
    for each in notes:
        each.plain = cut(each.plain, frame.width, frame.signs)
        each.no_wrap = True
    return notes
