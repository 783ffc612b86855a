"""What was measured, as plain rows: one per test, backend, model asked for and model that answered. Pure."""

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
    """One attempt: what a record says of it that matters here."""

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
    """One attempt as the recorder keeps it: a flat tuple, without the meter that the record would keep alive."""
    parts = tuple((part.model, *part.usage.buckets.items()) for part in record.parts)
    error = None if record.error_type is None else record.error_type.value
    return (
        *(record.fingerprint, record.status.value, error, record.backend, record.model, record.model_responded),
        *(record.usage_known, parts, record.wire_cost_usd, record.tier),
    )


def unpacked(kept: tuple[Any, ...]) -> SeenAttempt:
    """The attempt that `packed` has made a tuple of."""
    seen = SeenAttempt._make(kept)
    return seen._replace(parts=tuple((model, prices.usage(dict(buckets))) for model, *buckets in seen.parts))


class Row(BaseModel):
    """What one test asked of one model. Buckets are disjoint; a name such as `input>200000` is of dearer calls."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    test: str
    backend: str
    model: str
    answered: str = ""
    """Empty where nobody answered, or the answer does not say."""
    tier: str = ""
    """The service tier that answered, where it has a price of its own."""
    calls: Count = 0
    attempts: Count = 0
    unread: Count = 0
    """Calls that succeeded and whose usage the wire does not carry."""
    errors: Tokens = {}
    """Attempts that failed, by error type."""
    tokens: Tokens = {}
    """Known, and priced by the price book."""
    estimated: Tokens = {}
    """Nobody says how many it were: what was sent, and what passed."""
    wire_tokens: Tokens = {}
    """Known, and priced by the wire itself."""
    wire_usd: Money | None = None

    @property
    def key(self) -> Key:
        return (self.test, self.backend, self.model, self.answered, self.tier)

    def plain(self) -> dict[str, Any]:
        """The row without what is empty."""
        return self.model_dump(mode="json", exclude_defaults=True)


_COUNTS = ("calls", "attempts", "unread")
_BUCKETS = ("errors", "tokens", "estimated", "wire_tokens")


def added(rows: Iterable[Row]) -> list[Row]:
    """The rows with those of the same key made one, sorted."""
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
    made = []
    for (test, backend, model, answered, tier), total in sorted(sums.items()):
        for name in _BUCKETS:
            total[name] = dict(sorted(total[name].items()))
        made.append(Row(test=test, backend=backend, model=model, answered=answered, tier=tier, **total))
    return made


def read_alone(rows: Iterable[Row]) -> list[Row]:
    """The rows without what is estimated in them: calls, attempts, errors, and the tokens that were read."""
    return [row.model_copy(update={"estimated": {}}) for row in rows]


def rows_of(test: str, attempts: Iterable[SeenAttempt], book: PriceBook) -> list[Row]:
    """The rows of one test's attempts, in the order in which they ended."""
    return added(row for call in calls_of(attempts) for row in _rows_of_call(test, call, book))


def _rows_of_call(test: str, call: list[SeenAttempt], book: PriceBook) -> Iterable[Row]:
    last = call[-1]
    # a call belongs to the model that answered it in the end: what failed before, too
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
        # a part's own model is of no matter: the wire says what they cost together
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
