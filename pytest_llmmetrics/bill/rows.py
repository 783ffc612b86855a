"""The measured calls as rows: one per test, backend, requested model, answering model and tier. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from llmmetrics.testing import CallRecord, prices
from llmmetrics.testing.prices import PriceBook
from pytest_llmmetrics.attempts import calls_of

Count = Annotated[int, Field(ge=0)]
Tokens = dict[str, Annotated[int, Field(gt=0)]]
Money = Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$")]
Key = tuple[str, str, str, str, str]


class SeenAttempt(NamedTuple):
    """One attempt: the fields of its record that rows need."""

    fingerprint: str
    status: str
    error: str | None
    backend: str
    model: str
    answered: str | None
    known: bool
    parts: tuple[Any, ...]
    wire_usd: Decimal | None
    tier: str | None = None


def packed(record: CallRecord) -> tuple[Any, ...]:
    """Pack an attempt into a flat tuple, without the meter that the record would keep alive."""
    parts = tuple((part.model, *part.usage.buckets.items()) for part in record.parts)
    error = None if record.error_type is None else record.error_type.value
    return (
        *(record.fingerprint, record.status.value, error, record.backend, record.model, record.model_responded),
        *(record.usage_known, parts, record.wire_cost_usd, record.tier),
    )


def unpacked(values: tuple[Any, ...]) -> SeenAttempt:
    """Return the attempt of a packed tuple."""
    seen = SeenAttempt._make(values)
    return seen._replace(parts=tuple((model, prices.usage(dict(buckets))) for model, *buckets in seen.parts))


class Row(BaseModel):
    """The calls of one test to one model. Buckets are disjoint; `input>200000` is of prompts over 200,000 tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    test: str
    backend: str
    model: str
    answered: str = ""
    """The model that answered; empty: no answer, or it does not name a model."""
    tier: str = ""
    """The service tier of the answer, if it has its own price."""
    calls: Count = 0
    attempts: Count = 0
    unread: Count = 0
    """Successful calls whose answers have no usage."""
    errors: Tokens = {}
    """Failed attempts, by error type."""
    tokens: Tokens = {}
    """Known tokens that the price book prices."""
    estimated: Tokens = {}
    """Estimated tokens: no usage was received, so they are counted from the request and the received answer."""
    wire_tokens: Tokens = {}
    """Known tokens whose cost is in the answer."""
    wire_usd: Money | None = None

    @property
    def key(self) -> Key:
        return (self.test, self.backend, self.model, self.answered, self.tier)

    def plain(self) -> dict[str, Any]:
        """Return the row without empty fields."""
        return self.model_dump(mode="json", exclude_defaults=True)


_COUNTS = ("calls", "attempts", "unread")
_BUCKETS = ("errors", "tokens", "estimated", "wire_tokens")


def added(rows: Iterable[Row]) -> list[Row]:
    """Sum the rows of each key; return them sorted."""
    sums: dict[Key, dict[str, Any]] = {}
    for row in rows:
        total = sums.setdefault(row.key, {"wire_usd": None, **dict.fromkeys(_COUNTS, 0), **{b: {} for b in _BUCKETS}})
        for name in _COUNTS:
            total[name] += getattr(row, name)
        for name in _BUCKETS:
            for bucket, n in getattr(row, name).items():
                total[name][bucket] = total[name].get(bucket, 0) + n
        if row.wire_usd is not None:
            total["wire_usd"] = f"{Decimal(total['wire_usd'] or 0) + Decimal(row.wire_usd):f}"
    merged = []
    for (test, backend, model, answered, tier), total in sorted(sums.items()):
        for name in _BUCKETS:
            total[name] = dict(sorted(total[name].items()))
        merged.append(Row(test=test, backend=backend, model=model, answered=answered, tier=tier, **total))
    return merged


def read_alone(rows: Iterable[Row]) -> list[Row]:
    """Return the rows without estimated tokens."""
    return [row.model_copy(update={"estimated": {}}) for row in rows]


def rows_of(test: str, attempts: Iterable[SeenAttempt], book: PriceBook) -> list[Row]:
    """Make the rows of one test's attempts, which are in the order in which they ended."""
    return added(row for call in calls_of(attempts) for row in _rows_of_call(test, call, book))


def _rows_of_call(test: str, call: list[SeenAttempt], book: PriceBook) -> Iterable[Row]:
    last = call[-1]
    # a call, with its failed attempts, belongs to the model that answered last
    where: dict[str, Any] = {
        "test": test,
        "backend": last.backend,
        "model": last.model,
        "answered": last.answered or "",
        "tier": last.tier or "",
    }
    errors: dict[str, int] = {}
    for each in call:
        if each.error is not None:
            errors[each.error] = errors.get(each.error, 0) + 1
    unread = sum(each.status == "success" and not each.known for each in call)
    yield Row(**where, calls=1, attempts=len(call), errors=errors, unread=unread)
    for each in call:
        here = where if each.answered is None or each is last else {**where, "answered": each.answered}
        here = {**here, "tier": each.tier or ""}
        yield from _charges(here, each, book)


def _charges(where: Mapping[str, Any], attempt: SeenAttempt, book: PriceBook) -> Iterable[Row]:
    if attempt.wire_usd is not None:
        # the answer has the cost of all parts together: their models do not matter
        buckets = _joined(usage.buckets for _, usage in attempt.parts)
        if buckets or attempt.wire_usd:
            yield Row(**where, wire_tokens=buckets, wire_usd=f"{attempt.wire_usd:f}")
        return
    for model, usage in attempt.parts:
        here = {**where, "answered": model} if model else where
        price = book.price(attempt.backend, attempt.model, here["answered"], attempt.tier)
        buckets = prices.in_bands(price, usage)
        counted: dict[str, Any] = {"tokens" if attempt.known else "estimated": buckets}
        if buckets:
            yield Row(**here, **counted)


def _joined(buckets: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in buckets:
        for name, n in each.items():
            total[name] = total.get(name, 0) + n
    return total
