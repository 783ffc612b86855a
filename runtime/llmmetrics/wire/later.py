"""Answers that come later (background answers, runs, batches): what a body says of one, and how a batch is read."""

import re
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from llmmetrics.wire.framing.frames import Doc


class AnswerState(StrEnum):
    """How far an answer is that comes later."""

    OPEN = "open"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


_WORDS: dict[AnswerState, tuple[str, ...]] = {
    AnswerState.OPEN: (
        *("queued", "in_progress", "pending", "running", "validating", "finalizing", "processing"),
        *("cancelling", "canceling", "cancellation_requested", "requires_action", "requires_continuation"),
    ),
    AnswerState.COMPLETED: ("completed", "incomplete", "succeeded", "success", "ended", "budget_exceeded"),
    AnswerState.FAILED: ("failed",),
    AnswerState.CANCELLED: ("cancelled", "canceled"),
    AnswerState.EXPIRED: ("expired", "timeout_exceeded"),
}
_STATES = {word: state for state, words in _WORDS.items() for word in words}
_PREFIX = re.compile(r"^(?:batch|job)_state_")


def state_of(word: Any, *, used: bool = False) -> AnswerState | None:
    """Return the state that a provider's word means; None for another word, unless there is usage: then it is over."""
    known = _STATES.get(_PREFIX.sub("", word.lower())) if isinstance(word, str) else None
    return AnswerState.COMPLETED if used and known is None else known


class LaterAnswer(NamedTuple):
    """What a body says of an answer that comes later."""

    id: str
    state: AnswerState
    background: bool = False
    """Whether the body says that it was made in the background: an ordinary stored answer does not."""
    lasts: bool = False
    """Whether it goes on when its stream is closed, however it was asked for."""
    results: tuple[str, ...] = ()
    """The files with its results, if it is a batch."""
    empty: bool = False
    """Whether a batch is over and has no results, so that nothing is billed."""


class BatchRequest(NamedTuple):
    """One request of a batch: the path of its call, and its body."""

    path: str
    body: Doc


class Batch(NamedTuple):
    """How the batches of one vendor are read."""

    requests: Callable[[Doc, str | None], Iterable[BatchRequest]]
    """Yield the requests in the body that creates a batch; the second argument is the model in the path."""
    inputs: Callable[[Doc], Sequence[str]]
    """Return the files with its requests, as the body names them."""
    request: Callable[[Doc, str | None], BatchRequest | None]
    """Read a line of such a file."""
    result: Callable[[Doc], Any]
    """Read a line of the results as a `Reading`; None: it is no such line."""
    results: re.Pattern[str] | None
    """Searched in host and path of a GET of results; the group `id` is the file, or the batch itself."""
    uploads: re.Pattern[str] | None = None
    """Searched in host and path of a POST that uploads a file."""
    inline: Callable[[Doc], Sequence[Doc]] = lambda _: ()
    """Return the results that stand in the batch itself."""
