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
"""How long a budget's bar is at most."""

COLOURS = ((1.0, "red"), (0.8, "yellow"), (0.0, "green"))
"""Of a bar, from which part of the budget on."""


def budgets_of(backends: Sequence[BackendFigures]) -> list[Named]:
    """Each budget with its backend's name. What nobody knows stands first, then what is spent most."""
    return sorted(((each.name, each.budget) for each in backends if each.budget), key=_fullest)


def bars(budgets: Sequence[Named], hidden: int, frame: Frame) -> RenderableType:
    """A line for each of them, and one for those that are hidden."""
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
        made.add_row(
            Text(f"  {cut(name, names - 2, frame.signs)}"),
            _bar(used or 0.0, bar, colour, frame.signs),
            Text(amounts.part(used), style=f"bold {colour}"),
            spent,
            Text(refused, style="yellow"),
        )
    if hidden:
        made.add_row(more(hidden))
    return made


def _bar(used: float, width: int, colour: str, signs: Signs) -> Text:
    full = round(min(used, 1.0) * width)
    # on its own colour, so that no gap shows between its blocks
    return Text.assemble((signs.full * full, f"{colour} on {colour}"), (signs.empty * (width - full), "dim"))


def _spent(budget: BudgetFigures) -> str:
    if budget.spent is None or budget.limit is None:
        return "unknown"
    return f"{amounts.usd(budget.spent)} of {amounts.usd(budget.limit)}"


def _refused(budget: BudgetFigures) -> str:
    told = (("refused", budget.refused), ("would refuse", budget.would_refuse))
    return ", ".join(f"{what} {amounts.count(n)}" for what, n in told if n)


def _used(budget: BudgetFigures) -> float | None:
    if budget.spent is None or budget.limit is None:
        return None
    return budget.spent / budget.limit if budget.limit else 1.0


def _fullest(budget: Named) -> tuple[float, str]:
    used = _used(budget[1])
    return -(float("inf") if used is None else used), budget[0]
