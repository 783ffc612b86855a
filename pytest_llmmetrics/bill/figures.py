"""Sums of rows: calls, tokens and money. Known, estimated and unknown amounts stay apart. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from llmmetrics.testing import prices
from pytest_llmmetrics.bill.asking.side import AskedSide, total
from pytest_llmmetrics.bill.rows import Repeat, Row, joined

MINUS = "\N{MINUS SIGN}"

PriceOf = Callable[[Row], prices.Price | None]
"""The price of a row's model."""


class Cost(NamedTuple):
    """A cost in attodollars. `unknown` counts rows with tokens and no known price: they are in no sum."""

    known: int = 0
    estimated: int = 0
    unknown: int = 0

    def __add__(self, other: object) -> Cost:
        """Add two costs, part by part."""
        assert isinstance(other, Cost)
        return Cost(self.known + other.known, self.estimated + other.estimated, self.unknown + other.unknown)

    @property
    def total(self) -> int:
        """The known and the estimated part together."""
        return self.known + self.estimated


class Figures(NamedTuple):
    """The sums of some rows; tokens are counts."""

    calls: int
    attempts: int
    errors: int
    unread: int
    prompt: int
    completion: int
    cached: int
    estimated_tokens: int
    """How many prompt and completion tokens are estimates."""
    cost: Cost
    estimated_prompt: int = 0
    stale: int = 0
    scripted: int = 0
    asked: AskedSide | None = None
    """What the calls ask for; None: a row does not say it, or there are no calls."""
    asked_cost: Cost = Cost()
    """The asked prompt and the answered completion, at the price of the model that was asked for."""

    @property
    def tokens(self) -> int:
        return self.prompt + self.completion

    @property
    def cached_ratio(self) -> float:
        """The part of the prompt that was read from a cache, 0 to 1."""
        return self.cached / self.prompt if self.prompt else 0.0

    @property
    def counts(self) -> tuple[str, str]:
        """The prompt and the completion, in words: an estimate has a ~."""
        prompt = "~" if self.estimated_prompt else ""
        completion = "~" if self.estimated_tokens > self.estimated_prompt else ""
        return f"{prompt}{self.prompt:,}", f"{completion}{self.completion:,}"

    @property
    def all_tokens(self) -> str:
        """The tokens in words: an estimate has a ~."""
        return f"{'~' if self.estimated_tokens else ''}{self.tokens:,}"

    @property
    def asked_prompt(self) -> str:
        """The prompt tokens that are asked for, in words: they are always an estimate."""
        return f"~{self.asked.prompt:,}" if self.asked and self.asked.prompt else "-"

    @property
    def per_call(self) -> float:
        """Attempts per call."""
        return self.attempts / self.calls if self.calls else 0.0


def cost_of(row: Row, price: prices.Price | None) -> Cost:
    """Return the cost of a row at this price."""
    wire = 0 if row.wire_usd is None else prices.attodollars(Decimal(row.wire_usd))
    known, billed, estimated = (prices.cost(price, part) for part in (row.tokens, row.billed, row.estimated))
    return Cost(wire + (known or 0) + (billed or 0), estimated or 0, int(None in {known, billed, estimated}))


def asked_price(row: Row) -> Row:
    """Return the row whose price is that of the model that was asked for, whatever answered."""
    return row.model_copy(update={"answered": "", "tier": ""})


def _asked_cost(row: Row, price_of: PriceOf) -> Cost:
    """Return the cost of what a row asks for; the completion is the answered one."""
    if row.asked is None or not row.asked.prompt:
        return Cost()
    answered = prices.usage(joined((row.tokens, row.billed, row.estimated)))
    cost = prices.cost(price_of(asked_price(row)), {"input": row.asked.prompt, "output": answered.completion})
    return Cost(unknown=1) if cost is None else Cost(estimated=cost)


def figures(rows: Iterable[Row], price_of: PriceOf) -> Figures:
    """Sum these rows."""
    every = list(rows)
    whole = all(row.asked is not None for row in every if row.calls)
    used = prices.usage(joined(buckets for row in every for buckets in row.used))
    estimated = prices.usage(joined(row.estimated for row in every))
    return Figures(
        calls=sum(row.calls for row in every),
        attempts=sum(row.attempts for row in every),
        errors=sum(n for row in every for n in row.errors.values()),
        unread=sum(row.unread for row in every),
        prompt=used.prompt,
        completion=used.completion,
        cached=used.cache_read,
        estimated_tokens=estimated.total,
        cost=sum((cost_of(row, price_of(row)) for row in every), Cost()),
        estimated_prompt=estimated.prompt,
        stale=sum(row.stale for row in every),
        scripted=sum(row.scripted for row in every),
        asked=total(row.asked for row in every) if whole else None,
        asked_cost=sum((_asked_cost(row, price_of) for row in every), Cost()),
    )


def kinds(rows: Iterable[Row]) -> dict[str, int]:
    """Sum tokens by bucket, over all kinds of prices."""
    total = prices.usage(joined(buckets for row in rows for buckets in row.used))
    return dict(sorted(total.buckets.items()))


def median(runs: Sequence[Sequence[Row]], price_of: PriceOf, passed: int) -> tuple[int, Repeat]:
    """Return the number of the run with the median cost, of two the cheaper one; and the range of all runs."""
    sums = [figures(rows, price_of) for rows in runs]
    order = sorted(range(len(runs)), key=lambda n: (sums[n].cost.total, sums[n].tokens, n))
    costs = sorted(each.cost.total for each in sums)
    known = not any(each.cost.unknown for each in sums)
    tokens = sorted(each.tokens for each in sums)
    return order[(len(runs) - 1) // 2], Repeat(
        runs=len(runs),
        passed=passed,
        tokens=(tokens[0], tokens[-1]),
        usd=(f"{prices.dollars(costs[0]):f}", f"{prices.dollars(costs[-1]):f}") if known else None,
    )


def ranges(repeats: Mapping[str, Repeat]) -> list[str]:
    """Say the range of the runs of each repeated test."""
    lines = []
    for test, each in sorted(repeats.items()):
        cost = f"cost {' to '.join(usd(Decimal(amount)) for amount in each.usd)}" if each.usd else "cost unknown"
        tokens = f"{each.tokens[0]:,} to {each.tokens[1]:,} tokens"
        lines.append(f"{test}: median of {each.runs} runs, {each.passed} passed: {cost}, {tokens}")
    return lines


def billed_units(rows: Iterable[Row]) -> list[str]:
    """Say what each provider bills, if it bills other units than the tokens that it counts."""
    sums: dict[str, list[tuple[dict[str, int], dict[str, int]]]] = {}
    for row in rows:
        if row.counted or row.billed:
            sums.setdefault(row.backend, []).append((row.counted, row.billed))
    lines = []
    for backend, parts in sorted(sums.items()):
        counted, billed = ([prices.usage(part[n]) for part in parts] for n in (0, 1))
        prompt, completion = (
            f"{sum(getattr(each, name) for each in billed):,} of {sum(getattr(each, name) for each in counted):,}"
            for name in ("prompt", "completion")
        )
        pieces = sum(each.buckets.get("tool_use", 0) for each in billed)
        more = f", and {number(pieces, 'piece')}" if pieces else ""
        lines.append(f"{backend} bills {prompt} counted prompt tokens and {completion} counted completion tokens{more}")
    return lines


def usd(atto: int | Decimal, digits: int = 3) -> str:
    """Format money: at least cents, and this number of significant digits of smaller amounts."""
    value = prices.dollars(atto) if isinstance(atto, int) else atto
    if not value:
        return "$0"
    places = max(2, digits - 1 - value.adjusted())
    text = f"{abs(value):,.{places}f}"
    if places > 2:
        whole, _, fraction = text.partition(".")
        text = f"{whole}.{fraction[:2]}{fraction[2:].rstrip('0')}"
    return f"{MINUS if value < 0 else ''}${text}"


def number(n: int, noun: str) -> str:
    """Return a number with its noun, which has a plural with s."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def money(cost: Cost) -> str:
    """Format a cost: known, estimated (~) and unknown parts."""
    if cost.unknown and not cost.total:
        return "unknown"
    parts = [usd(cost.known)] if cost.known or not cost.estimated else []
    if cost.estimated:
        parts.append(f"~{usd(cost.estimated)}")
    if cost.unknown:
        parts.append("unknown")
    return " + ".join(parts)
