"""`@pytest.mark.llm_limit`: reads the marker, and compares its limits with what a test used. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any, NamedTuple

from llmmetrics.testing import prices
from pytest_llmmetrics.bill.figures import Figures, money, usd


class LimitMarkerError(ValueError):
    """An invalid marker; the message says what to write."""


class Allowance(NamedTuple):
    """The limits of one test. None: no limit."""

    usd: Decimal | None = None
    calls: int | None = None
    tokens: int | None = None
    attempts: int | None = None
    enforce: bool = False
    """Whether calls past a limit are refused, before the test fails at its end."""


EXAMPLE = 'write @pytest.mark.llm_limit(usd="0.002", calls=3)'


def allowance_of(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Allowance:
    """Read a marker's arguments. Raises `LimitMarkerError`."""
    if args:
        raise LimitMarkerError(f"{name} takes only named arguments: {EXAMPLE}")
    if not kwargs.keys() - {"enforce"}:
        raise LimitMarkerError(f"{name} has no limit: {EXAMPLE}")
    for key, value in kwargs.items():
        if key not in Allowance._fields:
            near = get_close_matches(key, Allowance._fields, 1)
            hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(Allowance._fields)}"
            raise LimitMarkerError(f"{name} has no argument {key!r}: {hint}")
        if key == "enforce":
            if not isinstance(value, bool):
                raise LimitMarkerError(f"{name}(enforce={value!r}) is not True or False")
        elif key != "usd" and (type(value) is not int or value < 0):
            raise LimitMarkerError(f"{name}({key}={value!r}) is not a count: write a whole number, 0 or more")
    return Allowance(**{**kwargs, "usd": _amount(name, kwargs["usd"]) if "usd" in kwargs else None})


def _amount(name: str, value: Any) -> Decimal:
    if isinstance(value, float) and value >= 0:
        raise LimitMarkerError(f'{name}(usd={value!r}) is a float, which is not exact: write usd="{value}"')
    try:
        exact = Decimal("NaN" if type(value) not in {str, int, Decimal} else value)
    except InvalidOperation:
        exact = Decimal("NaN")
    if not exact.is_finite() or exact < 0:
        raise LimitMarkerError(f'{name}(usd={value!r}) is not an amount: write it as text in USD, such as usd="0.002"')
    return exact


def over(allowance: Allowance, spent: Figures, unknown: Sequence[str] = ()) -> tuple[str, ...]:
    """List the limits that are exceeded, in words. `unknown` are the models without a price.

    A cost that is only partly known always exceeds a limit in USD.
    """
    exceeded = []
    if (limit := allowance.usd) is not None:
        if spent.cost.total > prices.attodollars(limit):
            exceeded.append(f"{money(spent.cost)}, the limit is {usd(limit)}")
        elif spent.cost.unknown:
            exceeded.append(
                f"the cost is unknown, the limit is {usd(limit)}: no price is known for {', '.join(unknown)} "
                "(configure CostPerMillionInputTokens and CostPerMillionOutputTokens, 0 if it is free, or limit tokens)"
            )
    for name in ("calls", "tokens", "attempts"):
        most, n = getattr(allowance, name), getattr(spent, name)
        if most is not None and n > most:
            exceeded.append(f"{n:,} {name}, the limit is {most:,}")
    return tuple(exceeded)
