"""The life of an answer that comes later: what a fetched answer is counted as. One table.

A POST leaves its answer in one of three ways (`Asked`): *pending*, *counted* (its usage came with it), or *unseen* (it
went past this ledger). The fetched body says a state, and has a usage or none. `COUNTED` says what is done for an
answer that is pending; an unseen one is treated as pending if its body says that it was made in the background; a
counted one is never counted again.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from llmmetrics.wire.format import items, mapping
from llmmetrics.wire.framing.frames import Doc
from llmmetrics.wire.later import AnswerState


class FetchVerdict(Enum):
    """What is done with a fetched answer."""

    NOTHING = "nothing: it is not over, or it was counted"
    COUNT = "its usage is counted, and its cost replaces the pending booking"
    RELEASE = "nothing was billed: the pending booking is released"
    UNKNOWN = "its usage is unknown: the pending booking is kept as worst case, or replaced by an estimate"


_ROWS: dict[AnswerState, tuple[FetchVerdict, FetchVerdict]] = {
    # with usage, without
    AnswerState.OPEN: (FetchVerdict.NOTHING, FetchVerdict.NOTHING),
    AnswerState.COMPLETED: (FetchVerdict.COUNT, FetchVerdict.UNKNOWN),
    AnswerState.FAILED: (FetchVerdict.COUNT, FetchVerdict.RELEASE),
    # what was written before the cancellation is billed, and no body says how much that was
    AnswerState.CANCELLED: (FetchVerdict.COUNT, FetchVerdict.UNKNOWN),
    AnswerState.EXPIRED: (FetchVerdict.COUNT, FetchVerdict.RELEASE),
}


def listed_answers(body: object) -> Sequence[Doc]:
    """Return the answers in the body of a list. Together's body is a list, Gemini's has operations."""
    fields = mapping(body)
    found = body if isinstance(body, list) else fields.get("data") or fields.get("operations")
    return [each for each in items(found) if isinstance(each, dict)]


def verdict_of(state: AnswerState, *, used: bool) -> FetchVerdict:
    """Return what a fetched answer is counted as; `used`: its body carries the usage."""
    return _ROWS[state][0 if used else 1]
