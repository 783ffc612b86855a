"""Reads one exchange: the models, the usage, the cost and the error.

One reader serves `read_exchange` and live calls: both pass it the `Body` of a `BodyBuffer`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from llmmetrics import wire
from llmmetrics.pricing import price
from llmmetrics.pricing.catalogue import Catalogue
from llmmetrics.reading import error_types
from llmmetrics.reading.envelopes import foreign_error
from llmmetrics.reading.error_types import ErrorType
from llmmetrics.wire.format import Charge, Format, MalformedUsageError, Reading, header_cost
from llmmetrics.wire.framing.body_buffer import Body, keep
from llmmetrics.wire.framing.encodings import UnknownEncodingError, decoder_of
from llmmetrics.wire.framing.frames import (
    Doc,
    first_events,
    is_stream,
    last_events,
    may_hold_error,
    parse,
    salvage,
    torn_json,
)
from llmmetrics.wire.hosts import LOCAL, Origin
from llmmetrics.wire.usage import UNCOUNTED, Usage, add, usage_of

Headers = Iterable[tuple[str, str]]


class BodyReading(NamedTuple):
    """The content of a body, and whether it has the format's form."""

    reading: Reading
    ended: bool = False
    """Whether a stream's last event was seen."""
    valid: bool = True
    """Whether at least one document of it could be read."""
    malformed_usage: bool = False
    foreign: ErrorType | None = None
    """The error type of a body that is JSON and no answer of its format: nothing was used."""


_BESIDE = frozenset(
    {
        *("error", "service_tier", "serviceTier", "performanceConfig"),
        *("tool_usage", "tools", "prompt_eval_cached_count"),
        *("id", "status", "background"),
    }
)
"""Optional fields of a stream: if present, they are next to the usage, so the reader does not search for them."""


def see(format: Format, body: Body, headers: Mapping[str, str] | None = None) -> BodyReading:
    """Read the body of an answer, as far as it was kept; read usage from the headers if the body has none."""
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
            if reading.wire_cost is None and (cost := header_cost(headers)) is not None:
                reading = reading._replace(wire_cost=cost)
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
    """Read a JSON body: an object, an array (Gemini's stream), or the kept parts of a long one."""
    if format.any_body and (body.head or body.tail).lstrip()[:1] != b"{":
        return {}, False, True
    missing = body.total - len(body.tail)
    if missing > len(body.head):
        found = salvage(body.head, format.fields) | salvage(body.tail, format.fields)
        # an error key deep inside a long answer is content, not an error
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
    """Merge a stream into one body: the last value of each field, the usage merged field by field.

    Reads from the end and stops when it has all fields: providers put the usage last. A patient reader continues,
    because an error may come earlier.
    """
    merged: dict[str, Any] = {}
    ended = valid = False
    wanted = wanted_fields(tuple(format.fields))
    for event in last:
        valid = True
        ended = ended or format.ended(event)
        _fill(merged, format.part(event), format)
        if not patient and merged.keys() >= wanted:
            return merged, ended, True
    if torn:
        _fill(merged, salvage(torn, format.fields[:-1]), format)
    for event in reversed(first()):
        valid = True
        _fill(merged, format.part(event), format)
    return merged, ended, valid or bool(merged)


@cache
def wanted_fields(fields: tuple[str, ...]) -> frozenset[str]:
    """Return the fields without which a reader goes on to earlier events."""
    return frozenset(fields) - _BESIDE


def _fill(merged: dict[str, Any], earlier: Doc, format: Format) -> None:
    """Add the fields of an earlier event that no later event had."""
    for name in format.fields:
        value = earlier.get(name)
        if value is None:
            continue
        known = merged.get(name)
        if known is None:
            merged[name] = dict(value) if isinstance(value, dict) else value
        elif isinstance(known, dict) and isinstance(value, dict):
            # in place: a copy for every event would take a time that grows with the square of the stream's length
            for key, each in value.items():
                if each is not None:
                    known.setdefault(key, each)


@dataclass(frozen=True, slots=True)
class Exchange:
    """The content of one request and its answer. None: unknown."""

    provider: str
    """The provider's id; for an unknown host `<vendor>-compatible`, or `unknown` without a known format."""
    api: str | None
    """The wire format's id, such as `openai.chat`; None if it is not an LLM call."""
    model_requested: str | None
    model_responded: str | None
    usage: Usage | None
    cost_usd: Decimal | None
    error_type: ErrorType | None


_CATALOGUE = Catalogue()


def provider_name(origin: Origin, format: Format | None) -> str:
    """Return the provider's id, for a label."""
    known = wire.provider_of(origin)
    return known or (f"{format.vendor}-compatible" if format else "unknown")


def counted(format: Format, reading: Reading, request_body: bytes, model: str | None) -> Reading:
    """Add what only the request tells of a call that is billed by piece, or that it is uncounted."""
    if format.pieces is None or reading.error:
        return reading
    asked = {**wire.asked_fields(request_body), "model": model}
    if charges := format.pieces(asked, reading.usage):
        return reading._replace(usage=add(each.usage for each in charges), charges=charges)
    return reading if reading.usage is not None else reading._replace(usage=usage_of({UNCOUNTED: 1}))


def charges_of(reading: Reading) -> tuple[Charge, ...]:
    """Return the priced parts of a call."""
    if reading.charges or reading.usage is None:
        return reading.charges
    return (Charge(None, reading.usage),)


def read_exchange(
    *,
    method: str,
    url: str,
    request_headers: Headers,  # noqa: ARG001 - some formats will differ only by them
    request_body: bytes,
    status: int,
    response_headers: Headers,
    response_body: bytes,
    at: datetime | None = None,
) -> Exchange:
    """Read one recorded exchange.

    `response_body` has the bytes of the wire: a `Content-Encoding` in `response_headers` is decoded.
    `at` is the moment for the catalogue's prices, timezone-aware; by default now.
    Costs are in USD: the wire's own cost, else by the genai-prices catalogue. Unreadable bytes raise no
    exception: the exchange has fewer values.
    """
    parts = urlsplit(url)
    origin, path = Origin(parts.scheme, (parts.hostname or "").lower(), parts.port), unquote(parts.path)
    claimed = wire.claim(method, origin.host, path, wire.provider_of(origin))
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
    if not seen.malformed_usage:
        reading = counted(claimed.format, reading, request_body, model)
    if reading.usage is not None and UNCOUNTED in reading.usage.buckets:
        reading = reading._replace(usage=None)
    amount, charges = None, charges_of(reading)
    if reading.wire_cost is not None:
        amount = price.attodollars(reading.wire_cost)
    elif charges and provider not in LOCAL:
        names, where = (reading.model, model), f"{origin}{path}"
        moment = lambda: at or datetime.now(UTC)  # noqa: E731 - only some prices need it
        tier, geo = reading.tier, reading.geo
        amount = price.cost_of(charges, lambda part: _CATALOGUE.first((part, *names), where, None, moment, tier, geo))
    cost = None if amount is None else price.dollars(amount)
    return Exchange(provider, api, model, reading.model, reading.usage, cost, error)
