"""What the client suite works with: one call of the code under test, and everything that can be seen of it."""

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
from pytest_llmmetrics.contract.patience import DeadlockError, Patience, impatient
from pytest_llmmetrics.contract.tap import watched
from pytest_llmmetrics.contract.wire import TooManyAttemptsError, Wire
from pytest_llmmetrics.probe import LabelValues, LlmMetrics

ANSWER = Answer("Hello from the contract.", prompt_tokens=1234, completion_tokens=56)
"""What the provider answers where nothing else is said."""

TOKENS: Mapping[LabelValues, float] = {
    "prompt": ANSWER.prompt_tokens,
    "completion": ANSWER.completion_tokens,
    "total": ANSWER.prompt_tokens + ANSWER.completion_tokens,
}
"""What it counts as, by token type."""

_INEXPRESSIBLE = "does not exist in"


@dataclass
class CallResult:
    """What one call came to."""

    value: Any = None
    exception: BaseException | None = None
    attempts: int = 0
    waited: float = 0.0
    unclosed: int = 0
    endless: bool = False
    """It went on until it was stopped."""
    absent: bool = False
    """The provider's format has no such fault, so that nothing was tried."""

    @property
    def text(self) -> str:
        """All that anyone may get to see of its exception."""
        exc = self.exception
        return "" if exc is None else "\n".join([*traceback.format_exception(exc), repr(exc), str(exc)])


@dataclass
class Bench:
    """One test's code under test, with the provider, the wire, the time and the counters around it."""

    probe: LlmMetrics
    script: Script
    wire: Wire
    patience: Patience
    caplog: pytest.LogCaptureFixture
    act: Callable[[], Any]
    most: int
    """After so many attempts one call is stopped."""

    def call(self, fault: Fault | None = None, times: int = 1) -> CallResult:
        """One call, which meets this fault so many times, and then gets an answer."""
        self.script.otherwise = ANSWER
        if fault is not None:
            self.script.fail(fault, times)
        return self.run(self.act)

    def run(self, act: Callable[[], Any]) -> CallResult:
        """Do this, sync or async, and see what it comes to."""
        attempts, waited = len(self.wire.attempts), self.patience.waited
        self.wire.allow(self.most)
        out = CallResult()
        try:
            made = act()
            if inspect.isawaitable(made):
                self.patience.run(self._awaited(made, out))
            else:
                out.value = _whole(made)
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

    async def _awaited(self, made: Any, out: CallResult) -> None:
        try:
            out.value = _whole(await made)
        finally:
            # the end of the loop closes what the code under test has not
            out.unclosed = self.wire.unclosed

    def _absent(self) -> bool:
        """Whether the provider's format has no such fault."""
        found = any(_INEXPRESSIBLE in each for each in self.script.problems)
        self.script.problems[:] = [each for each in self.script.problems if _INEXPRESSIBLE not in each]
        return found

    def _forget(self) -> None:
        """Leave nothing for the next call: neither faults nor open answers."""
        self.script.clear()
        for each in self.wire.attempts:
            each.unclosed = False

    def interrupt(self, where: str) -> tuple[CallResult, bool]:
        """One call that is cancelled while its answer stays away; whether the cancellation came out of it.

        Async code is cancelled as a task; in sync code it is Ctrl-C.
        """
        self.script.otherwise = ANSWER
        self.wire.allow(self.most)
        self.wire.hold = where
        out = CallResult()
        try:
            made = self.act()
        except KeyboardInterrupt:
            passed = True
        except Exception as exc:
            out.exception, passed = exc, False
        else:
            passed = bool(inspect.isawaitable(made) and self.patience.run(self._cancelled(made, out)))
        out.unclosed = out.unclosed or self.wire.unclosed
        self.wire.hold = ""
        return out, passed

    async def _cancelled(self, made: Any, out: CallResult) -> bool:
        self.wire.held = asyncio.Event()
        task = asyncio.ensure_future(made)
        held = asyncio.ensure_future(self.wire.held.wait())
        await asyncio.wait({task, held}, return_when=asyncio.FIRST_COMPLETED)
        held.cancel()
        if task.done():
            raise AssertionError("the call was over before it could be cancelled: it made no LLM call of its own")
        task.cancel()
        with suppress(asyncio.CancelledError):
            try:
                out.value = await task
            except Exception as exc:
                out.exception = exc
        out.unclosed = self.wire.unclosed
        return bool(task.cancelled())

    def logged(self) -> str:
        """What the code under test, and everything that it uses, has logged."""
        return self.caplog.text


def _whole(value: Any) -> Any:
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise AssertionError("call() gave a stream: read it to its end there, and give it out in stream()")
    return value


@contextmanager
def bench(
    probe: LlmMetrics, script: Script, caplog: pytest.LogCaptureFixture, act: Callable[[], Any], most: int
) -> Iterator[Bench]:
    """A bench around the code under test, which is stopped after so many attempts."""
    with impatient() as patience, caplog.at_level(logging.DEBUG):
        wire = Wire(patience)
        with watched(wire):
            yield Bench(probe, script, wire, patience, caplog, act, most)
