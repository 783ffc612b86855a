"""The script of a simulated provider: its answers, in order, and the requests it got. Strict both ways."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from difflib import get_close_matches
from threading import Lock
from typing import Any, Self

from llmmetrics.testing.faults import CannotExpressError
from llmmetrics.testing.jobs import Jobs
from llmmetrics.testing.messages.model import Answer, Fault, Reply, Request
from llmmetrics.testing.simulator import ANSWER, is_call, reply


class UnscriptedError(AssertionError):
    """A request has no scripted reply."""


@dataclass(frozen=True)
class Step:
    """One scripted reply: an answer, or a fault that changes it."""

    answer: Answer
    fault: Fault | None = None
    for_model: str | None = None
    """The requested model that it is for; by default any."""

    def __str__(self) -> str:
        what = f"fail({self.fault.name})" if self.fault else f"reply({self.answer.text!r})"
        return what if self.for_model is None else f"{what} for {self.for_model}"


class Script:
    """Replies, each for one request, in scripted order.

    `served`: a server answers, so a fault without a connection, such as a failing DNS, is refused when scripted.
    """

    def __init__(self, *, served: bool = False) -> None:
        self.requests: list[Request] = []
        """Every call that came, with any answer."""
        self.otherwise: Answer | None = None
        """The answer to requests without a scripted reply; None: an error."""
        self.problems: list[str] = []
        self._served = served
        self._jobs = Jobs()
        self._steps: list[Step] = []
        self._lock = Lock()

    @property
    def then(self) -> Self:
        """The script itself, for chaining: `fail(RATE_LIMIT).then.reply("hi")`."""
        return self

    def reply(self, text: str = ANSWER.text, *, for_model: str | None = None, **answer: Any) -> Self:
        """Answer one request with this text. `answer` has fields of `Answer`, such as `prompt_tokens`."""
        return self._add(Step(_answer(text=text, **answer), None, for_model))

    def replies(self, *texts: str, **answer: Any) -> Self:
        """Answer one request with each of these texts."""
        for text in texts:
            self.reply(text, **answer)
        return self

    def stream(self, pieces: Iterable[str], *, for_model: str | None = None, **answer: Any) -> Self:
        """Answer one request with these pieces; in a stream each is an event."""
        texts = tuple(pieces)
        return self._add(Step(_answer(text="".join(texts), pieces=texts, **answer), None, for_model))

    def fail(self, fault: Fault, times: int = 1, *, for_model: str | None = None, **answer: Any) -> Self:
        """Fail a number of requests. `answer` has fields of the answer that a fault cuts in the body."""
        if not isinstance(fault, Fault):
            raise TypeError(f"fail({fault!r}): pass a fault of pytest_llmmetrics.faults, such as RATE_LIMIT")
        if self._served and not fault.on_the_wire:
            raise CannotExpressError(
                f"the fault {fault.name!r} happens before there is a connection, so no server can show it: "
                "use llm_provider, which answers inside the client"
            )
        for _ in range(times):
            self._add(Step(_answer(**answer), fault, for_model))
        return self

    def _add(self, step: Step) -> Self:
        with self._lock:
            self._steps.append(step)
        return self

    def answer(self, request: Request) -> Reply:
        """Take the reply to a request. Raises `UnscriptedError`, or `CannotExpressError` for an impossible fault."""
        if (fetched := self._jobs.fetch(request)) is not None:
            return fetched
        if not is_call(request):
            return self._jobs.defer(request, reply(request), reply)
        with self._lock:
            self.requests.append(request)
            step = next((each for each in self._steps if each.for_model in (None, request.model)), None)
            if step:
                self._steps.remove(step)
        if step is None:
            if self.otherwise is None:
                raise UnscriptedError(self.note(f"{_asked(request)} was not scripted"))
            step = Step(self.otherwise)
        try:
            made, what = reply(request, step.fault or step.answer, step.answer), step
            return self._jobs.defer(request, made, lambda each: reply(each, what.fault or what.answer, what.answer))
        except CannotExpressError as exc:
            raise CannotExpressError(self.note(str(exc))) from None

    def note(self, text: str) -> str:
        """Note a problem once, and return it."""
        if text not in self.problems:
            self.problems.append(text)
        return text

    def clear(self) -> None:
        """Remove the unused replies."""
        with self._lock:
            self._steps.clear()

    @property
    def unused(self) -> list[Step]:
        """The replies that no request has taken yet."""
        return list(self._steps)


def _asked(request: Request) -> str:
    return f"{request.method} {request.host}{request.path} (model {request.model})"


def _names() -> Iterator[str]:
    return (each.name for each in fields(Answer))


def _answer(**values: Any) -> Answer:
    known = list(_names())
    for name in values.keys() - set(known):
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"use one of {', '.join(known)}"
        raise TypeError(f"an answer has no field {name}: {hint}")
    return Answer(**values)
