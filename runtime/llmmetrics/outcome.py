"""What a call came to: a function of how it ended, what its answer says, and what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import NamedTuple

from llmmetrics import classify
from llmmetrics.classify import ErrorType, Status
from llmmetrics.exchange import Seen, see
from llmmetrics.usage import Usage, usage_of
from llmmetrics.wire import estimate
from llmmetrics.wire.encodings import UnknownEncodingError
from llmmetrics.wire.format import Charge, Format, MalformedUsageError
from llmmetrics.wire.frames import is_spoilt, parse
from llmmetrics.wire.tape import Body, Tape
from llmmetrics.wire.tiers import asked_tier

NOTHING = Body(b"", b"", 0)


class Sent(NamedTuple):
    """A request, as far as its tokens depend on it."""

    format: Format
    body: bytes
    model: str | None


class End(Enum):
    """What ended a call."""

    EXHAUSTED = "the body came to its natural end"
    CLOSED = "the caller closed the answer"
    RAISED = "an exception went by"
    DROPPED = "nobody held the answer any more"


class Outcome:
    """What a call came to. None: there is nothing, or nobody says."""

    plain = False
    """A success whose usage was read: there is nothing more to say."""
    status = Status.SUCCESS
    error: ErrorType | None = None
    usage: Usage | None = None
    known = True
    """Whether `usage` was read; False for an estimate."""
    reason: str | None = None
    """Why it was estimated."""
    unread: str | None = None
    """What could not be read."""
    model: str | None = None
    """The model that answered."""
    charges: tuple[Charge, ...] = ()
    """The parts that are priced, where that is not the usage itself."""
    wire_cost: Decimal | None = None
    tier: str | None = None
    """The service tier, where it has a price of its own."""


def outcome_of(
    format: Format,
    http_status: int | None,
    tape: Tape,
    request_body: bytes,
    end: End,
    exception: BaseException | None,
    model: str | None = None,
) -> Outcome:
    """The outcome of a call. `http_status` is None for one that no headers came for, `model` what was asked for."""
    if http_status == 200 and end is End.EXHAUSTED and (quick := _plain_success(format, tape)):
        return quick
    failed = classify.error_of(exception) if isinstance(exception, Exception) else None
    # the caller went away, or an exception that is no error: a cancelled task, Ctrl-C
    gone = end is not End.EXHAUSTED and failed is None
    out, sent = Outcome(), Sent(format, request_body, model)
    if http_status is None:
        out.error = failed
        if exception is None or not classify.never_sent(exception):
            _estimate(out, None, NOTHING, sent, "unanswered")
            # nobody has said which one answered
            out.tier = asked_tier(request_body)
    else:
        try:
            body = tape.body()
        except UnknownEncodingError:
            body, out.unread = NOTHING, "encoding"
        if http_status >= 400:
            # whoever closes a refusal unread has still been refused
            gone = gone and end is End.RAISED
            out.error = classify.error_in(http_status, parse(body.tail))
        else:
            gone = _answered(out, see(format, body, tape.headers), body, tape.headers, sent, end, gone=gone)
            out.error = out.error or failed
    if gone:
        out.error, out.status = None, Status.CANCELLED
    elif out.error is not None:
        out.status = classify.status_of(out.error)
    return out


def _plain_success(format: Format, tape: Tape) -> Outcome | None:
    """What nearly every call comes to: one JSON object with its usage. The long way finds the same."""
    if (text := tape.short()) is None or not isinstance(body := parse(text), dict):
        return None
    try:
        reading = format.read(body)
    except MalformedUsageError:
        return None
    if reading.usage is None or reading.error:
        return None
    out = Outcome()
    out.plain = True
    out.model, out.usage = reading.model, reading.usage
    if reading.charges:
        out.charges = reading.charges
    if reading.wire_cost is not None:
        out.wire_cost = reading.wire_cost
    if reading.tier is not None:
        out.tier = reading.tier
    if format.tier is not None and (tier := format.tier(tape.headers or {})):
        out.tier = tier
    return out


def _is_no_answer(headers: Mapping[str, str] | None) -> bool:
    """Whether the headers alone say that no format is spoken: a page for people, or nothing at all."""
    said = headers or {}
    return said.get("content-type", "").lower().startswith("text/html") or said.get("content-length") == "0"


def _answered(
    out: Outcome,
    seen: Seen,
    body: Body,
    headers: Mapping[str, str] | None,
    sent: Sent,
    end: End,
    *,
    gone: bool,
) -> bool:
    """Fill in what a successful answer says; whether the caller went away before its end."""
    reading = seen.reading
    complete = end is End.EXHAUSTED or seen.ended
    # whoever lets go of a stream after an error in it, or of what is no stream, does so because of that
    let_go = end in (End.CLOSED, End.DROPPED) and not seen.ended
    spoilt = let_go and (is_spoilt(body) or (not body.total and _is_no_answer(headers)))
    gone = gone and (end is End.RAISED or not (seen.ended or reading.error or spoilt))
    out.model, out.tier = reading.model, reading.tier
    if reading.error:
        out.error = classify.error_in(None, reading.error)
    elif (spoilt or (complete and not seen.valid)) and out.unread is None:
        out.unread, out.error = "malformed", ErrorType.UNKNOWN
    if complete and reading.usage is not None:
        out.usage, out.charges, out.wire_cost = reading.usage, reading.charges, reading.wire_cost
        return gone
    if seen.malformed_usage:
        out.unread = "usage"
    reason = out.unread or ("absent" if complete else "cancelled" if gone else "cut")
    _estimate(out, reading.usage, body, sent, reason)
    return gone


def _estimate(out: Outcome, read: Usage | None, body: Body, sent: Sent, reason: str) -> None:
    """Fill in what the wire did not say: the prompt from the request, the completion from what passed."""
    out.known, out.reason = False, reason
    names = (sent.format.id, sent.format.vendor, out.model or sent.model)
    passed = estimate.completion_tokens(body, *names)
    if read is None:
        out.usage = usage_of({"input": estimate.prompt_tokens(sent.body, *names), "output": passed})
    else:
        more = max(passed - read.completion, 0)
        out.usage = usage_of({**read.buckets, "output": read.buckets.get("output", 0) + more})
