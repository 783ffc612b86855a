"""The outcome of a call: a pure function of its ending, its answer and its request."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from pydantic_core import from_json

from llmmetrics.reading import error_types
from llmmetrics.reading.endings import VERDICTS, CallVerdict, End, Ending, Shown, ending_of
from llmmetrics.reading.error_types import ErrorType, Status
from llmmetrics.reading.exchange import BodyReading, counted, see
from llmmetrics.reading.usual_body import usual_body
from llmmetrics.wire.estimation import estimate
from llmmetrics.wire.format import Charge, Format, Reading, header_cost
from llmmetrics.wire.framing.body_buffer import Body, BodyBuffer
from llmmetrics.wire.framing.encodings import UnknownEncodingError
from llmmetrics.wire.framing.frames import is_spoilt, is_stream, parse
from llmmetrics.wire.later import AnswerState, LaterAnswer
from llmmetrics.wire.tiers import asked_region, asked_tier, region_of
from llmmetrics.wire.usage import UNCOUNTED, Usage, usage_of

NOTHING = Body(b"", b"", 0)

COMPLETE = "absent"
"""The `reason` of a complete answer without usage."""


class Sent(NamedTuple):
    """The parts of a request that its tokens depend on."""

    format: Format
    body: bytes
    model: str | None


class Outcome:
    """The outcome of a call. None: absent or unknown."""

    plain = False
    """Whether it is a success with usage, and nothing else to count."""
    status: Status
    error: ErrorType | None = None
    usage: Usage | None = None
    known: bool
    """Whether `usage` was read; False for an estimate."""
    reason: str | None = None
    """Why the usage was estimated."""
    read: Usage | None = None
    """The part of an estimated usage that was read."""
    unread: str | None = None
    """The part that could not be read."""
    model: str | None = None
    """The model that answered."""
    charges: tuple[Charge, ...]
    """The priced parts, if they differ from the usage."""
    wire_cost: Decimal | None
    tier: str | None = None
    """The service tier, if it has a price of its own."""
    geo: str | None = None
    """The region, if it has a price of its own."""
    later: LaterAnswer | None
    """The answer that comes later, or that was made in the background."""

    def __init__(self) -> None:
        # what each call asks for: to find a default in the class takes three times as long as to set it here
        self.status, self.known, self.charges = Status.SUCCESS, True, ()
        self.wire_cost = self.later = None

    @property
    def shows_an_answer(self) -> bool:
        """Whether the body is an answer, or the beginning of one: not a refusal, an error or another page."""
        return self.pending or (self.usage is not None and self.unread != "malformed")

    @property
    def pending(self) -> bool:
        """Whether the usage comes later."""
        return self.later is not None and self.later.state is AnswerState.OPEN


def outcome_of(
    format: Format,
    http_status: int | None,
    buffer: BodyBuffer,
    request_body: bytes,
    end: End,
    exception: BaseException | None,
    model: str | None = None,
) -> Outcome:
    """Compute the outcome of a call. `http_status` is None if no headers came; `model` is the requested one."""
    if http_status == 200 and end is not End.RAISED and (plain := _plain_success(format, buffer, end)):
        return plain
    failed = error_types.error_of(exception) if isinstance(exception, Exception) else None
    ending = ending_of(end, error=failed is not None)
    out, sent = Outcome(), Sent(format, request_body, model)
    if http_status is None:
        shown = Shown.NOTHING
        if exception is None or not error_types.never_sent(exception):
            _estimate(out, None, NOTHING, sent, "unanswered")
            # without an answer, only the request names the tier
            out.tier, out.geo = asked_tier(format, request_body), region_of(asked_region(format, request_body))
    else:
        try:
            body = buffer.body()
        except UnknownEncodingError:
            body, out.unread = NOTHING, "encoding"
        if http_status >= 400:
            shown, out.error = Shown.REFUSED, error_types.error_in(http_status, parse(body.tail))
        else:
            shown = _answered(out, see(format, body, buffer.headers), body, buffer.headers, sent, ending)
    _judge(out, VERDICTS[shown, ending], failed)
    return out


def _judge(out: Outcome, verdict: CallVerdict, failed: ErrorType | None) -> None:
    """Set status and error type; `failed` is the error type of the exception."""
    if verdict is CallVerdict.CANCELLED:
        out.error, out.status = None, Status.CANCELLED
        return
    if verdict is not CallVerdict.ANSWER:
        out.error = {CallVerdict.EXCEPTION: failed, CallVerdict.UNKNOWN: ErrorType.UNKNOWN}.get(verdict)
    if out.error is not None:
        out.status = error_types.status_of(out.error)


def _plain_success(format: Format, buffer: BodyBuffer, end: End) -> Outcome | None:
    """Fast path: an answer with usage, in a usual form. `see()` returns the same, slower."""
    try:
        chunks = buffer.chunks
        if chunks and chunks[0][:1] == b"{" and end is End.EXHAUSTED and not buffer.trimmed:
            body = from_json(chunks[0] if len(chunks) == 1 else b"".join(chunks))
        else:
            body = usual_body(format, buffer, end)
            if body is None:
                return None
        model, usage, charges, cost, error, tier, geo, later = format.read(body)
    except ValueError:
        # no JSON, or an impossible count
        return None
    if usage is None or error or not (usage[0] or usage[1]):
        return None
    headers = buffer.headers
    if headers is not None:
        if format.tier is not None:
            tier = format.tier(headers) or tier
        if cost is None:
            cost = header_cost(headers)
    out = Outcome()
    out.plain, out.model, out.usage = True, model, usage
    if charges or cost is not None or tier or geo or later:
        out.charges, out.wire_cost, out.tier, out.geo, out.later = charges, cost, tier, geo, later
    return out


def _is_no_answer(headers: Mapping[str, str] | None) -> bool:
    """Return whether the headers exclude an LLM answer: an HTML page, or an empty body."""
    said = headers or {}
    return said.get("content-type", "").lower().startswith("text/html") or said.get("content-length") == "0"


def _shown(out: Outcome, seen: BodyReading, body: Body, headers: Mapping[str, str] | None, ending: Ending) -> Shown:
    """Return what a successful answer had shown when its call ended."""
    if seen.reading.error or seen.foreign:
        return Shown.ERROR
    complete = ending is Ending.READ or seen.ended
    if out.unread is None:
        if complete and not seen.valid:
            return Shown.MALFORMED
        # an SDK closes a stream early because of an error in it, or because it is not a stream
        early = ending is Ending.LET_GO and not seen.ended
        if early and (is_spoilt(body) or (not body.total and _is_no_answer(headers))):
            return Shown.MALFORMED
    return Shown.ENDED if complete else Shown.OPEN


def _answered(
    out: Outcome, seen: BodyReading, body: Body, headers: Mapping[str, str] | None, sent: Sent, ending: Ending
) -> Shown:
    """Fill in the values of a successful answer; return what it had shown when its call ended."""
    reading, shown = seen.reading, _shown(out, seen, body, headers, ending)
    out.model, out.tier, out.geo = reading.model, reading.tier, reading.geo
    if seen.foreign:
        # no answer of this provider, so that nothing was used
        out.error, out.unread = seen.foreign, out.unread or "malformed"
        return shown
    out.error = error_types.error_in(None, reading.error)
    if out.error is not None and reading.usage is None and body.whole and isinstance(parse(body.tail), dict):
        # nothing else was answered: like the body of an HTTP 400
        return shown
    if shown is Shown.MALFORMED:
        out.unread = "malformed"
    complete = ending is Ending.READ or seen.ended
    if reading.later is not None and not seen.foreign and _comes_later(reading.later, sent, body, complete=complete):
        out.later = reading.later
        if out.pending or reading.usage is None:
            return shown
    if complete and not seen.malformed_usage:
        reading = counted(sent.format, reading, sent.body, sent.model)
    if complete and reading.usage is not None:
        if UNCOUNTED in reading.usage.buckets:
            out.known, out.reason, out.read = False, out.unread or COMPLETE, reading.usage
        out.usage, out.charges, out.wire_cost = reading.usage, reading.charges, reading.wire_cost
        return shown
    if seen.malformed_usage:
        out.unread = "usage"
    gone = VERDICTS[shown, ending] is CallVerdict.CANCELLED
    _estimate(out, reading.usage, body, sent, out.unread or (COMPLETE if complete else "cancelled" if gone else "cut"))
    return shown


_BACKGROUND = re.compile(rb'"background"\s*:\s*true')


def _comes_later(later: LaterAnswer, sent: Sent, body: Body, *, complete: bool) -> bool:
    """Return whether an answer goes on after its call; one whose stream breaks off does so only in the background."""
    if complete and not is_stream(body.head or body.tail):
        return later.state is AnswerState.OPEN or later.background
    return later.background or later.lasts or _BACKGROUND.search(sent.body) is not None


def _estimate(out: Outcome, read: Usage | None, body: Body, sent: Sent, reason: str) -> None:
    """Fill in estimates: the prompt from the request, the completion from the text that passed."""
    out.known, out.reason, out.read = False, reason, read
    if sent.format.pieces is not None:
        # its text tells nothing of what it costs
        asked = counted(sent.format, Reading(), sent.body, sent.model)
        out.usage, out.charges = asked.usage, asked.charges
        return
    model = out.model or sent.model
    passed = estimate.completion_tokens(body, sent.format, model)
    if read is None:
        out.usage = usage_of({"input": estimate.prompt_tokens(sent.body, sent.format, model), "output": passed})
    else:
        more = max(passed - read.completion, 0)
        out.usage = usage_of({**read.buckets, "output": read.buckets.get("output", 0) + more})
