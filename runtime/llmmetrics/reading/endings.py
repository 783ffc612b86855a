"""How a call ended, and its status and error type: one table.

A call ends once. Two facts decide its result:

1. what ended it (`Ending`): the body was read to its end, the caller let go of the answer, an exception was raised,
   or the caller was cancelled;
2. what the answer had shown by then (`Shown`): nothing, a refusal, an error inside a 200, bytes that are not the
   format's, the format's last event, or an answer that was still open.

`VERDICTS` has a row for each `Shown` and a column for each `Ending`. An SDK that closes a stream because of an error
in it is not a cancellation, and an SDK that closes after the last event has read everything: so the content counts
before the way of closing. Only a cancelled task or Ctrl-C is always `cancelled`.
"""

from __future__ import annotations

from enum import Enum


class End(Enum):
    """What ended a call, as the transport reports it."""

    EXHAUSTED = "the body came to its natural end"
    CLOSED = "the caller closed the answer"
    RAISED = "an exception was raised"
    DROPPED = "the answer was garbage-collected"


class Ending(Enum):
    """What ended a call, as far as its status depends on it."""

    READ = "read to its end"
    LET_GO = "closed or dropped by the caller"
    FAILED = "an error was raised"
    CANCELLED = "task cancelled, Ctrl-C"


class Shown(Enum):
    """What the answer had shown when the call ended."""

    NOTHING = "no headers"
    REFUSED = "HTTP status of 400 or more"
    ERROR = "an error in the body"
    MALFORMED = "not what the format says"
    ENDED = "the last event, or the whole body"
    OPEN = "headers, and perhaps a part of the body"


class CallVerdict(Enum):
    """The source of a call's status and error type."""

    SUCCESS = "`success`"
    CANCELLED = "`cancelled`, no error"
    ANSWER = "the error type of the answer"
    EXCEPTION = "the error type of the exception"
    UNKNOWN = "`failure`, `unknown`"


_COLUMNS = (Ending.READ, Ending.LET_GO, Ending.FAILED, Ending.CANCELLED)

_GONE = CallVerdict.CANCELLED

_ROWS: dict[Shown, tuple[CallVerdict, CallVerdict, CallVerdict, CallVerdict]] = {
    Shown.NOTHING: (CallVerdict.SUCCESS, _GONE, CallVerdict.EXCEPTION, _GONE),
    Shown.REFUSED: (CallVerdict.ANSWER, CallVerdict.ANSWER, CallVerdict.ANSWER, _GONE),
    Shown.ERROR: (CallVerdict.ANSWER, CallVerdict.ANSWER, CallVerdict.ANSWER, _GONE),
    Shown.MALFORMED: (CallVerdict.UNKNOWN, CallVerdict.UNKNOWN, CallVerdict.UNKNOWN, _GONE),
    Shown.ENDED: (CallVerdict.SUCCESS, CallVerdict.SUCCESS, CallVerdict.EXCEPTION, _GONE),
    Shown.OPEN: (CallVerdict.SUCCESS, _GONE, CallVerdict.EXCEPTION, _GONE),
}

VERDICTS: dict[tuple[Shown, Ending], CallVerdict] = {
    (shown, ending): verdict for shown, row in _ROWS.items() for ending, verdict in zip(_COLUMNS, row, strict=True)
}


def ending_of(end: End, *, error: bool) -> Ending:
    """Return the ending of a call; `error`: an exception was raised that is an error, not a cancellation."""
    if end is End.EXHAUSTED:
        return Ending.READ
    if end is not End.RAISED:
        return Ending.LET_GO
    return Ending.FAILED if error else Ending.CANCELLED
