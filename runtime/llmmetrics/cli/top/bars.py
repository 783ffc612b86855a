"""The budgets on the screen of `llmmetrics top`, the fullest first: a bar each."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from llmmetrics.cli.top import amounts
from llmmetrics.cli.top.figures import BackendFigures, BudgetFigures
from llmmetrics.cli.top.frame import Frame, Signs, cut, more

Named = tuple[str, BudgetFigures]

BAR = 40
"""Maximum length of a budget's bar, in cells."""

COLOURS = ((1.0, "red"), (0.8, "yellow"), (0.0, "green"))
"""The colour of a bar, by the lowest spent share that has it."""


def budgets_of(backends: Sequence[BackendFigures]) -> list[Named]:
    """Sort the budgets, with their backends' names: unknown ones first, then by spent share, highest first."""
    return sorted(((each.name, each.budget) for each in backends if each.budget), key=_fullest)


def bars(budgets: Sequence[Named], hidden: int, frame: Frame) -> RenderableType:
    """Draw a line for each budget, and one for the number of hidden ones."""
    rows = [(name, _used(budget), _spent(budget), _refused(budget)) for name, budget in budgets]
    names = min(max(cell_len(name) + 2 for name, *_ in rows), frame.width // 3)
    # the bar leaves room for the spent share and the longest texts after it
    bar = min(max(frame.width - names - 9 - max(len(spent) + len(refused) for *_, spent, refused in rows), 8), BAR)
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True, width=names)
    grid.add_column(no_wrap=True, width=bar)
    grid.add_column(no_wrap=True, width=5, justify="right")
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_row("  budget", style="dim")
    for name, used, spent, refused in rows:
        colour = next(colour for part, colour in COLOURS if (used or 0.0) >= part)
        grid.add_row(
            Text(f"  {cut(name, names - 2, frame.signs)}"),
            _bar(used or 0.0, bar, colour, frame.signs),
            Text(amounts.part(used), style=f"bold {colour}"),
            spent,
            Text(refused, style="yellow"),
        )
    if hidden:
        grid.add_row(more(hidden))
    return grid


def _bar(used: float, width: int, colour: str, signs: Signs) -> Text:
    full = round(min(used, 1.0) * width)
    # the background has the bar's colour, so that no gap shows between its blocks
    return Text.assemble((signs.full * full, f"{colour} on {colour}"), (signs.empty * (width - full), "dim"))


def _spent(budget: BudgetFigures) -> str:
    if budget.spent is None or budget.limit is None:
        return "unknown"
    return f"{amounts.usd(budget.spent)} of {amounts.usd(budget.limit)}"


def _refused(budget: BudgetFigures) -> str:
    counts = (("refused", budget.refused), ("would refuse", budget.would_refuse))
    return ", ".join(f"{what} {amounts.count(n)}" for what, n in counts if n)


def _used(budget: BudgetFigures) -> float | None:
    if budget.spent is None or budget.limit is None:
        return None
    return budget.spent / budget.limit if budget.limit else 1.0


def _fullest(budget: Named) -> tuple[float, str]:
    used = _used(budget[1])
    return -(float("inf") if used is None else used), budget[0]
