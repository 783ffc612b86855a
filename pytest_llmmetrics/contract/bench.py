"""The bench of the client suite: makes one call with the code under test, and observes it."""

from __future__ import annotations

import asyncio
import inspect
import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest

from llmmetrics.testing import Answer, Fault
from llmmetrics.testing.harness import Script
from pytest_llmmetrics.contract.onlooker import looking
from pytest_llmmetrics.contract.patience import DeadlockError, Patience, impatient
from pytest_llmmetrics.contract.tap import watched
from pytest_llmmetrics.contract.wire import TooManyAttemptsError, Wire
from pytest_llmmetrics.probe import LabelValues, LlmMetrics
from pytest_llmmetrics.provider import LlmProvider

ANSWER = Answer("Hello from the contract.", prompt_tokens=1234, completion_tokens=56)
"""The provider's default answer."""

TOKENS: Mapping[LabelValues, float] = {
    "prompt": ANSWER.prompt_tokens,
    "completion": ANSWER.completion_tokens,
    "total": ANSWER.prompt_tokens + ANSWER.completion_tokens,
}
"""Its tokens, by token type."""

_INEXPRESSIBLE = "does not exist in"


@dataclass
class CallResult:
    """The result of one call. `waited` is in seconds."""

    value: Any = None
    exception: BaseException | None = None
    attempts: int = 0
    waited: float = 0.0
    unclosed: int = 0
    endless: bool = False
    """The suite had to stop it."""
    absent: bool = False
    """The provider's format has no such fault, so nothing was tested."""

    @property
    def text(self) -> str:
        """The exception's traceback, repr and message."""
        exc = self.exception
        return "" if exc is None else "\n".join([*traceback.format_exception(exc), repr(exc), str(exc)])


@dataclass
class Bench:
    """The code under test, with its provider, wire, time and counters."""

    probe: LlmMetrics
    script: Script
    wire: Wire
    patience: Patience
    caplog: pytest.LogCaptureFixture
    act: Callable[[], Any]
    most: int
    """The number of attempts after which the suite stops one call."""

    def call(self, fault: Fault | None = None, times: int = 1) -> CallResult:
        """Make one call that meets this fault so many times, and then gets an answer."""
        self.script.otherwise = ANSWER
        if fault is not None:
            self.script.fail(fault, times)
        return self.run(self.act)

    def run(self, act: Callable[[], Any]) -> CallResult:
        """Run sync or async code, and return its result."""
        attempts, waited = len(self.wire.attempts), self.patience.waited
        self.wire.allow(self.most)
        out = CallResult()
        try:
            value = act()
            if inspect.isawaitable(value):
                self.patience.run(self._awaited(value, out))
            else:
                out.value = _whole(value)
        except TooManyAttemptsError:
            out.endless = True
        except DeadlockError:
            raise
        except Exception as exc:
            out.exception = exc
        finally:
            out.unclosed = out.unclosed or self.wire.unclosed
            out.attempts = len(self.wire.attempts) - attempts
            out.waited = self.patience.waited - waited
            out.absent = self._absent()
            self._forget()
        return out

    async def _awaited(self, value: Any, out: CallResult) -> None:
        try:
            out.value = _whole(await value)
        finally:
            # count now: the end of the loop closes open answers
            out.unclosed = self.wire.unclosed

    def _absent(self) -> bool:
        """Tell whether the provider's format has no such fault, and forget the problem."""
        absent = any(_INEXPRESSIBLE in each for each in self.script.problems)
        self.script.problems[:] = [each for each in self.script.problems if _INEXPRESSIBLE not in each]
        return absent

    def _forget(self) -> None:
        """Remove faults and open answers, for the next call."""
        self.script.clear()
        for each in self.wire.attempts:
            each.unclosed = False

    def interrupt(self, where: str) -> tuple[CallResult, bool]:
        """Cancel one call while it waits for its answer; also tell whether the cancellation came out of the call.

        Async code is cancelled as a task, sync code by a `KeyboardInterrupt`.
        """
        self.script.otherwise = ANSWER
        self.wire.allow(self.most)
        self.wire.hold = where
        out = CallResult()
        try:
            value = self.act()
        except KeyboardInterrupt:
            passed = True
        except Exception as exc:
            out.exception, passed = exc, False
        else:
            passed = bool(inspect.isawaitable(value) and self.patience.run(self._cancelled(value, out)))
        out.unclosed = out.unclosed or self.wire.unclosed
        self.wire.hold = ""
        return out, passed

    async def _cancelled(self, value: Any, out: CallResult) -> bool:
        self.wire.held = asyncio.Event()
        task = asyncio.ensure_future(value)
        held = asyncio.ensure_future(self.wire.held.wait())
        await asyncio.wait({task, held}, return_when=asyncio.FIRST_COMPLETED)
        held.cancel()
        if task.done():
            raise AssertionError("call() ended before it could be cancelled: it did not wait for an LLM call")
        task.cancel()
        with suppress(asyncio.CancelledError):
            try:
                out.value = await task
            except Exception as exc:
                out.exception = exc
        out.unclosed = self.wire.unclosed
        return bool(task.cancelled())

    def logged(self) -> str:
        """Return everything that was logged, by the code under test and by libraries."""
        return self.caplog.text


def _whole(value: Any) -> Any:
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise AssertionError("call() returned a stream: read it to its end in call(), and return it from stream()")
    return value


@contextmanager
def bench(
    probe: LlmMetrics, script: LlmProvider, caplog: pytest.LogCaptureFixture, act: Callable[[], Any], most: int
) -> Iterator[Bench]:
    """Build a bench around the code under test, which is stopped after `most` attempts."""
    with impatient() as patience, caplog.at_level(logging.DEBUG):
        wire = Wire(patience)
        script.look = looking(wire)
        with watched(wire):
            yield Bench(probe, script, wire, patience, caplog, act, most)
