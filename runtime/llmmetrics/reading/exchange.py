"""Reads one exchange: what was asked, what answered, what it used, what it cost, how it failed.

One reader serves `read_exchange` and live calls: both hand it the `Body` that a `BodyBuffer` kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from llmmetrics import wire
from llmmetrics.pricing import price
from llmmetrics.pricing.catalogue import Catalogue
from llmmetrics.reading import error_types
from llmmetrics.reading.envelopes import foreign_error
from llmmetrics.reading.error_types import ErrorType
from llmmetrics.usage import Usage
from llmmetrics.wire.body_buffer import Body, keep
from llmmetrics.wire.encodings import UnknownEncodingError, decoder_of
from llmmetrics.wire.format import Charge, Format, MalformedUsageError, Reading, header_cost
from llmmetrics.wire.frames import Doc, first_events, is_stream, last_events, may_hold_error, parse, salvage, torn_json
from llmmetrics.wire.hosts import LOCAL, Origin, provider_of

Headers = Iterable[tuple[str, str]]


class BodyReading(NamedTuple):
    """What a body says, and whether it is what its format promises."""

    reading: Reading
    ended: bool = False
    """A stream's last event was seen."""
    valid: bool = True
    """At least one document of it could be read."""
    malformed_usage: bool = False
    foreign: ErrorType | None = None
    """The error type of a body that is JSON and no answer of its format: nothing was used."""


_BESIDE = frozenset(
    {
        *("error", "service_tier", "serviceTier", "performanceConfig"),
        *("tool_usage", "tools", "prompt_eval_cached_count"),
    }
)
"""What no stream need say, and stands beside the usage where it does: nobody waits for it."""


def see(format: Format, body: Body, headers: Mapping[str, str] | None = None) -> BodyReading:
    """What the body of an answer says, as far as it was kept; its headers, where the body says no usage."""
    merged: Doc
    start, docs = body.head or body.tail, list[Doc]()
    if body.whole and start[:1] == b"{" and isinstance(whole := parse(start), dict):
        # the common case first: one JSON object
        merged, ended, valid, docs = whole, True, True, [whole]
    elif is_stream(start):
        events, torn = last_events(body)
        patient = may_hold_error(body.tail)
        merged, ended, valid = _merge(format, events, lambda: first_events(body), torn, patient=patient)
    else:
        merged, ended, valid = _document(format, body)
    try:
        reading = format.read(merged)
        if headers is not None:
            if reading.usage is None:
                reading = reading._replace(usage=format.headers(headers))
            if reading.wire_cost is None:
                reading = reading._replace(wire_cost=header_cost(headers))
            if format.tier is not None:
                reading = reading._replace(tier=format.tier(headers) or reading.tier)
        if reading.usage and reading.usage.total:
            return BodyReading(reading, ended, valid)
        if docs and reading.usage is None and (format.always_streams or start.endswith(b"\n")):
            # a line that may be the first of a stream
            ended = format.ended(merged)
        foreign = None if reading.error else foreign_error(format, body, docs, usage=reading.usage is not None)
        return BodyReading(reading, ended, valid, foreign=foreign)
    except MalformedUsageError:
        return BodyReading(format.read(_without_usage(merged)), ended, valid, malformed_usage=True)


def _document(format: Format, body: Body) -> tuple[Doc, bool, bool]:
    """A JSON body: an object; an array, which is Gemini's stream; or the pieces of one too long to hold."""
    missing = body.total - len(body.tail)
    if missing > len(body.head):
        found = salvage(body.head, format.fields) | salvage(body.tail, format.fields)
        # an error key deep inside a long answer is part of the answer
        found.pop("error", None)
        return found, True, bool(found) or body.head.lstrip()[:1] == b"{"
    text = body.head[:missing] + body.tail
    value = parse(text)
    if isinstance(value, dict):
        return value, True, True
    docs = torn_json(text)
    if text.lstrip()[:1] == b"[":
        return _merge(format, reversed(docs), lambda: docs[:1])
    if not docs:
        return {}, False, False
    usage = format.fields[0]
    known = docs[0].get(usage)
    # what breaks off after its usage has said all that there is to count
    whole = known is not None and salvage(text, (usage,)).get(usage) == known and not text.endswith(str(known).encode())
    return docs[0] if whole else _without_usage(docs[0]), False, whole


def _without_usage(body: Doc) -> Doc:
    """What a body says about anything but its usage."""
    return {name: value for name, value in body.items() if name in ("model", "modelVersion", "error")}


def _merge(
    format: Format, last: Iterable[Doc], first: Callable[[], Sequence[Doc]], torn: bytes = b"", *, patient: bool = False
) -> tuple[dict[str, Any], bool, bool]:
    """A stream as one body: of each field the last value, the usage merged field by field.

    Reads from the end and stops when it has what it came for: providers put the usage last. A patient reader goes on,
    as there may be an error before it.
    """
    merged: dict[str, Any] = {}
    ended = valid = False
    wanted = [name for name in format.fields if name not in _BESIDE]
    for event in last:
        valid = True
        ended = ended or format.ended(event)
        _fill(merged, format.part(event), format)
        if not patient and all(name in merged for name in wanted):
            return merged, ended, True
    if torn:
        _fill(merged, salvage(torn, format.fields[:-1]), format)
    for event in reversed(first()):
        valid = True
        _fill(merged, format.part(event), format)
    return merged, ended, valid or bool(merged)


def _fill(merged: dict[str, Any], earlier: Doc, format: Format) -> None:
    """Add what an earlier event says and no later one did."""
    for name in format.fields:
        value = earlier.get(name)
        if value is None:
            continue
        known = merged.get(name)
        if known is None:
            merged[name] = value
        elif isinstance(known, dict) and isinstance(value, dict):
            merged[name] = {**{key: each for key, each in value.items() if each is not None}, **known}


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer, read. None: the wire does not say."""

    provider: str
    """The provider's id; `<vendor>-compatible` for a host that nobody knows, `unknown` beyond that."""
    api: str | None
    """The wire format's id, such as `openai.chat`; None for what is no call."""
    model_requested: str | None
    model_responded: str | None
    usage: Usage | None
    cost_usd: Decimal | None
    error_type: ErrorType | None


_CATALOGUE = Catalogue()


def provider_name(origin: Origin, format: Format | None) -> str:
    """The provider's id for a label."""
    known = provider_of(origin)
    return known or (f"{format.vendor}-compatible" if format else "unknown")


def charges_of(reading: Reading) -> tuple[Charge, ...]:
    """The parts of a call that have a price."""
    if reading.charges or reading.usage is None:
        return reading.charges
    return (Charge(None, reading.usage),)


def read_exchange(
    *,
    method: str,
    url: str,
    request_headers: Headers,  # noqa: ARG001 - some formats will be told apart by them
    request_body: bytes,
    status: int,
    response_headers: Headers,
    response_body: bytes,
    at: datetime | None = None,
) -> Exchange:
    """What one recorded exchange says.

    `response_body` is as it came over the wire: a `Content-Encoding` among `response_headers` is undone.
    `at` is the moment whose catalogue prices are asked for, timezone-aware; now, where it is left out.
    Costs are in USD by the wire's own figure, else by the genai-prices catalogue. Bytes that cannot be
    read raise nothing: they are an exchange that says less.
    """
    parts = urlsplit(url)
    origin, path = Origin(parts.scheme, (parts.hostname or "").lower(), parts.port), unquote(parts.path)
    claimed = wire.claim(method, origin.host, path)
    headers = {name.lower(): value for name, value in response_headers}
    try:
        body = keep(response_body, decoder_of(headers.get("content-encoding")))
        readable = True
    except UnknownEncodingError:
        body, readable = Body(b"", b"", 0), False
    provider = provider_name(origin, claimed.format if claimed else None)
    model = wire.asked(claimed, request_body)[0] if claimed else None
    api = claimed.format.id if claimed else None
    if status >= 400 or claimed is None:
        failed = error_types.error_in(status, parse(body.tail)) if status >= 400 else None
        return Exchange(provider, api, model, None, None, None, failed)
    seen = see(claimed.format, body, headers)
    reading = seen.reading
    error = error_types.error_in(None, reading.error) or seen.foreign
    if error is None and readable and not seen.valid:
        error = ErrorType.UNKNOWN
    amount, charges = None, charges_of(reading)
    if reading.wire_cost is not None:
        amount = price.attodollars(reading.wire_cost)
    elif charges and provider not in LOCAL:
        names, where = (reading.model, model), f"{origin}{path}"
        moment = lambda: at or datetime.now(UTC)  # noqa: E731 - only some prices ask for it
        tier = reading.tier
        amount = price.cost_of(charges, lambda part: _CATALOGUE.first((part, *names), where, None, moment, tier))
    cost = None if amount is None else price.dollars(amount)
    return Exchange(provider, api, model, reading.model, reading.usage, cost, error)
