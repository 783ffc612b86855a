"""What `@pytest.mark.llm_limit` allows one test: reads the marker, and compares it with what was spent. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any, NamedTuple

from llmmetrics.testing import prices
from pytest_llmmetrics.bill.figures import Figures, money, usd


class LimitMarkerError(ValueError):
    """A marker that cannot be read; the message says what to write."""


class Allowance(NamedTuple):
    """What one test may do at most. None: there is no limit."""

    usd: Decimal | None = None
    calls: int | None = None
    tokens: int | None = None
    attempts: int | None = None


EXAMPLE = 'write @pytest.mark.llm_limit(usd="0.002", calls=3)'


def allowance_of(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Allowance:
    """The allowance that the marker of this name gives. Raises `LimitMarkerError`."""
    if args:
        raise LimitMarkerError(f"{name} takes no argument without a name: {EXAMPLE}")
    if not kwargs:
        raise LimitMarkerError(f"{name} limits nothing: {EXAMPLE}")
    for key, value in kwargs.items():
        if key == "enforce":
            raise LimitMarkerError(f"{name}(enforce=…) is not there yet: a limit refuses no call, it fails the test")
        if key not in Allowance._fields:
            near = get_close_matches(key, Allowance._fields, 1)
            hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(Allowance._fields)}"
            raise LimitMarkerError(f"{name} has no argument {key!r}: {hint}")
        if key != "usd" and (type(value) is not int or value < 0):
            raise LimitMarkerError(f"{name}({key}={value!r}) is no count: write a whole number from 0 on")
    return Allowance(**{**kwargs, "usd": _amount(name, kwargs["usd"]) if "usd" in kwargs else None})


def _amount(name: str, value: Any) -> Decimal:
    if isinstance(value, float) and value >= 0:
        raise LimitMarkerError(f'{name}(usd={value!r}) is a float, which is not exact: write usd="{value}"')
    try:
        exact = Decimal("NaN" if type(value) not in {str, int, Decimal} else value)
    except InvalidOperation:
        exact = Decimal("NaN")
    if not exact.is_finite() or exact < 0:
        raise LimitMarkerError(f'{name}(usd={value!r}) is no amount: write it as text in USD, such as usd="0.002"')
    return exact


def over(allowance: Allowance, spent: Figures, unknown: Sequence[str] = ()) -> tuple[str, ...]:
    """What of an allowance is exceeded, in words; `unknown` are the models without a price.

    A cost that is only partly known is never within a limit in USD.
    """
    found = []
    if (limit := allowance.usd) is not None:
        if spent.cost.total > prices.attodollars(limit):
            found.append(f"{money(spent.cost)}, the limit is {usd(limit)}")
        elif spent.cost.unknown:
            found.append(
                f"the cost is unknown, the limit is {usd(limit)}: no price is known for {', '.join(unknown)} "
                "(configure CostPerMillionInputTokens and CostPerMillionOutputTokens, 0 if it is free, or limit tokens)"
            )
    for name in ("calls", "tokens", "attempts"):
        most, n = getattr(allowance, name), getattr(spent, name)
        if most is not None and n > most:
            found.append(f"{n:,} {name}, the limit is {most:,}")
    return tuple(found)
