"""`@pytest.mark.llm_budget`: what one test may cost at most. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from llmmetrics.testing import prices
from pytest_llmmetrics.bill.figures import Figures, usd


class BudgetError(ValueError):
    """A marker that cannot be read; the message says what to write."""


class Allowance(NamedTuple):
    """What one test may do at most. None: there is no limit."""

    usd: str | None = None
    calls: int | None = None
    tokens: int | None = None

    def plain(self) -> dict[str, Any]:
        """What is limited."""
        return {name: value for name, value in self._asdict().items() if value is not None}


EXAMPLE = 'write @pytest.mark.llm_budget(usd="0.002", calls=3, tokens=1000)'


def allowance_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Allowance:
    """The allowance that a marker gives. Raises `BudgetError`."""
    if args:
        raise BudgetError(f"llm_budget takes no argument without a name: {EXAMPLE}")
    if not kwargs:
        raise BudgetError(f"llm_budget limits nothing: {EXAMPLE}")
    for name, value in kwargs.items():
        if name not in Allowance._fields:
            raise BudgetError(f"llm_budget has no argument {name!r}: {EXAMPLE}")
        if name != "usd" and (type(value) is not int or value < 0):
            raise BudgetError(f"llm_budget({name}={value!r}) is no count: {EXAMPLE}")
    amount = kwargs.get("usd")
    if isinstance(amount, float):
        raise BudgetError(f'llm_budget(usd={amount!r}) is a float, which is not exact: write usd="{amount}"')
    try:
        exact = Decimal(0 if amount is None else amount)
    except (InvalidOperation, TypeError, ValueError):
        exact = Decimal("NaN")
    if not exact.is_finite() or exact < 0:
        raise BudgetError(f"llm_budget(usd={amount!r}) is no amount: {EXAMPLE}")
    return Allowance(None if amount is None else f"{exact:f}", kwargs.get("calls"), kwargs.get("tokens"))


def over(allowance: Allowance, figures: Figures) -> tuple[str, ...]:
    """What of an allowance is exceeded, in words."""
    found = []
    if allowance.usd is not None and figures.cost.total > prices.attodollars(limit := Decimal(allowance.usd)):
        found.append(f"over its budget: {usd(figures.cost.total)} of {usd(limit)}")
    for name in ("calls", "tokens"):
        limit_of, n = getattr(allowance, name), getattr(figures, name)
        if limit_of is not None and n > limit_of:
            found.append(f"over its budget: {n:,} of {limit_of:,} {name}")
    return tuple(found)
