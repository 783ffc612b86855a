"""The measured calls as rows: one per test, backend, requested model, answering model and tier. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from llmmetrics.testing import CallRecord, prices
from llmmetrics.testing.prices import PriceBook
from pytest_llmmetrics.attempts import calls_of
from pytest_llmmetrics.bill.asking.side import AskedSide, Count, Tokens, total

Money = Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$")]
Key = tuple[str, str, str, str, str]


def _priced_kinds(tokens: Tokens) -> Tokens:
    try:
        prices.usage(tokens)
    except KeyError as exc:
        raise ValueError(f"this pytest-llmmetrics does not know tokens of the kind {exc}") from None
    return tokens


Buckets = Annotated[Tokens, AfterValidator(_priced_kinds)]
"""Tokens by the kind that has a price."""


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
    tags: tuple[tuple[str, str], ...] = ()
    counted: tuple[tuple[str, int], ...] = ()
    """The counted tokens by bucket, if the provider bills others; empty: the billed ones are the counted ones."""
    asked: AskedSide | None = None
    """Of the attempts of a call, the last one has it."""


def packed(record: CallRecord) -> tuple[Any, ...]:
    """Pack an attempt into a flat tuple, without the meter that the record would keep alive."""
    parts = tuple((part.model, *part.usage.buckets.items()) for part in record.parts)
    error = None if record.error_type is None else record.error_type.value
    return (
        *(record.fingerprint, record.status.value, error, record.backend, record.model, record.model_responded),
        *(record.usage_known, parts, record.wire_cost_usd, record.tier, record.tags, _counted(record)),
    )


def _counted(record: CallRecord) -> tuple[tuple[str, int], ...]:
    """Return the tokens of the metrics by bucket, if they are not the billed ones, as with Cohere."""
    usage = record.usage
    if usage is None or not (record.usage_known and record.parts) or record.wire_cost_usd is not None:
        return ()
    billed = (sum(part.usage.prompt for part in record.parts), sum(part.usage.completion for part in record.parts))
    return () if billed == (usage.prompt, usage.completion) else tuple(usage.buckets.items())


def unpacked(values: tuple[Any, ...]) -> SeenAttempt:
    """Return the attempt of a packed tuple."""
    seen = SeenAttempt(*values)
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
    stale: Count = 0
    """Calls that a recorder has answered with the answer to another request."""
    scripted: Count = 0
    """Calls whose usage the test has written itself: it proves nothing about what the provider counts."""
    asked: AskedSide | None = None
    """None: a row of a baseline without the asked side, or a part of a call."""
    errors: Tokens = {}
    """Failed attempts, by error type."""
    tokens: Buckets = {}
    """Known tokens that the price book prices."""
    estimated: Buckets = {}
    """Estimated tokens: no usage was received, so they are counted from the request and the received answer."""
    wire_tokens: Buckets = {}
    """Known tokens whose cost is in the answer."""
    wire_usd: Money | None = None
    counted: Buckets = {}
    """Known tokens that the provider counts, and for which it bills `billed`."""
    billed: Buckets = {}
    """What the provider bills instead of `counted`; the price book prices it."""

    @property
    def used(self) -> tuple[Tokens, ...]:
        """The tokens that the metrics count, in parts that are priced in different ways."""
        return (self.tokens, self.wire_tokens, self.estimated, self.counted)

    @property
    def key(self) -> Key:
        return (self.test, self.backend, self.model, self.answered, self.tier)

    def plain(self) -> dict[str, Any]:
        """Return the row without empty fields."""
        return self.model_dump(mode="json", exclude_defaults=True)


class Repeat(BaseModel):
    """The runs of a test that is run several times (`llm_repeat`); its rows are those of the median run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    runs: Count
    passed: Count
    tokens: tuple[Count, Count]
    """Of the run with the fewest tokens, and of the run with the most."""
    usd: tuple[Money, Money] | None = None
    """Of the cheapest and the dearest run; None: the cost of a run is unknown."""


class Remarks(BaseModel):
    """What the requests of a test say of the prompt cache: they are no part of a row, but explain it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    difference: str = ""
    """Where the prefixes of its calls differ."""
    clock: str = ""
    """Where a request says the present time."""

    def with_one(self, difference: str, clock: str) -> Remarks:
        """Add what another call says: the first in the order of the alphabet stays, whatever ended first."""
        texts = ((self.difference, difference), (self.clock, clock))
        first = [min(filter(None, pair), default="") for pair in texts]
        return Remarks(difference=first[0], clock=first[1])


_COUNTS = ("calls", "attempts", "unread", "stale", "scripted")
_BUCKETS = ("errors", "tokens", "estimated", "wire_tokens", "counted", "billed")


def added(rows: Iterable[Row]) -> list[Row]:
    """Sum the rows of each key; return them sorted."""
    sums: dict[Key, dict[str, Any]] = {}
    asked: dict[Key, list[AskedSide | None]] = {}
    for row in rows:
        asked.setdefault(row.key, []).append(row.asked)
        sum_ = sums.setdefault(row.key, {"wire_usd": None, **dict.fromkeys(_COUNTS, 0), **{b: {} for b in _BUCKETS}})
        for name in _COUNTS:
            sum_[name] += getattr(row, name)
        for name in _BUCKETS:
            for bucket, n in getattr(row, name).items():
                sum_[name][bucket] = sum_[name].get(bucket, 0) + n
        if row.wire_usd is not None:
            sum_["wire_usd"] = f"{Decimal(sum_['wire_usd'] or 0) + Decimal(row.wire_usd):f}"
    merged = []
    for key, values in sorted(sums.items()):
        for name in _BUCKETS:
            values[name] = dict(sorted(values[name].items()))
        names: dict[str, Any] = dict(zip(("test", "backend", "model", "answered", "tier"), key, strict=True))
        # sums of valid rows are valid: a suite has thousands of them
        merged.append(Row.model_construct(**names, **values, asked=total(asked[key])))
    return merged


def alike(before: Sequence[Row], after: Sequence[Row]) -> bool:
    """Tell whether rows are equal, one by one, but for their cost."""
    # `Priced` has all fields of `Row`, and its cost
    pairs = zip(before, after, strict=False)
    return len(before) == len(after) and all(a.__dict__.items() <= b.__dict__.items() for a, b in pairs)


def read_alone(rows: Iterable[Row]) -> list[Row]:
    """Return the rows without estimated tokens."""
    return [row.model_copy(update={"estimated": {}, "asked": None}) for row in rows]


def with_stale(rows: Iterable[Row], counts: Mapping[str, int]) -> list[Row]:
    """Return the rows with the number of stale answers of each test, in its first row."""
    left = dict(counts)
    every = sorted(rows, key=lambda row: row.key)
    return [row.model_copy(update={"stale": n}) if (n := left.pop(row.test, 0)) else row for row in every]


def rows_of(test: str, attempts: Iterable[SeenAttempt], book: PriceBook, *, scripted: bool = False) -> list[Row]:
    """Make the rows of one test's attempts, which are in the order in which they ended."""
    return added(row for call in calls_of(attempts) for row in _rows_of_call(test, call, book, scripted=scripted))


def tagged_rows(attempts: Iterable[SeenAttempt], book: PriceBook) -> list[Row]:
    """Make the rows of the tags of one test's attempts. In place of a test, a row has a tag: `tenant=acme`."""
    by_tag: dict[str, list[SeenAttempt]] = {}
    for each in attempts:
        for key, value in each.tags:
            by_tag.setdefault(f"{key}={value}", []).append(each._replace(asked=None))
    return added(row for tag, those in by_tag.items() for row in rows_of(tag, those, book))


def _rows_of_call(test: str, call: list[SeenAttempt], book: PriceBook, *, scripted: bool) -> Iterable[Row]:
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
    counts: dict[str, Any] = {"unread": unread, "scripted": int(scripted and last.known and last.status == "success")}
    yield Row(**where, calls=1, attempts=len(call), errors=errors, asked=last.asked, **counts)
    for each in call:
        here = where if each.answered is None or each is last else {**where, "answered": each.answered}
        here = {**here, "tier": each.tier or ""}
        yield from _charges(here, each, book)


def _charges(where: Mapping[str, Any], attempt: SeenAttempt, book: PriceBook) -> Iterable[Row]:
    if attempt.wire_usd is not None:
        # the answer has the cost of all parts together: their models do not matter
        buckets = joined(usage.buckets for _, usage in attempt.parts)
        if buckets or attempt.wire_usd:
            yield Row(**where, wire_tokens=buckets, wire_usd=f"{attempt.wire_usd:f}")
        return
    if attempt.counted:
        yield Row(**where, counted=dict(attempt.counted))
    kind = "billed" if attempt.counted else "tokens" if attempt.known else "estimated"
    for model, usage in attempt.parts:
        here = {**where, "answered": model} if model else where
        price = book.price(attempt.backend, attempt.model, here["answered"], attempt.tier)
        buckets = prices.in_bands(price, usage)
        charged: dict[str, Any] = {kind: buckets}
        if buckets:
            yield Row(**here, **charged)


def joined(buckets: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add buckets by name."""
    total: dict[str, int] = {}
    for each in buckets:
        for name, n in each.items():
            total[name] = total.get(name, 0) + n
    return total
