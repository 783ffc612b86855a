"""The client suite's tests of streams."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import pytest

from llmmetrics.testing import Fault
from pytest_llmmetrics import faults
from pytest_llmmetrics.contract.base import ClientContract
from pytest_llmmetrics.contract.bench import ANSWER, TOKENS, Bench, CallResult

_LONG = replace(ANSWER, pieces=tuple(f"word {n} " for n in range(200)))

_SOME = 5
"""The number of pieces that are read before a stream is closed: the first may have no text."""


class StreamContract(ClientContract):
    """Tests of `stream`, if it is overridden."""

    def stream(self) -> Any:
        """Make one call and return its pieces: an iterator, sync or async, or an awaitable of one."""
        pytest.skip("stream() is not overridden")

    def test_a_stream_read_to_its_end(self, llm_bench: Bench) -> None:
        pieces: list[Any] = []
        self._streamed(llm_bench, pieces, most=None)
        self._require(len(pieces) > 1, f"stream() returned {len(pieces)} pieces: it is not a stream")
        llm_bench.probe.assert_delta("llm_requests_total", {"success": 1})
        if llm_bench.probe.last.usage_known:
            llm_bench.probe.assert_delta("llm_tokens_total", TOKENS)
        else:
            # the code under test did not ask for usage
            self._require(llm_bench.probe.tokens["completion"] > 0, "the tokens of a stream were counted as 0")

    def test_a_stream_closed_early_counts_once(self, llm_bench: Bench) -> None:
        out = self._streamed(llm_bench, [], most=_SOME)
        self._require(not out.unclosed, "the answer is not closed when its stream is closed")
        llm_bench.probe.assert_delta("llm_requests_total", {"cancelled": 1})
        llm_bench.probe.assert_delta("llm_errors_total", {})
        self._require(
            llm_bench.probe.tokens["completion"] > 0, "the received part of the stream was counted as 0 tokens"
        )
        self._require_idle(llm_bench)

    def test_a_stream_that_breaks_off(self, llm_bench: Bench) -> None:
        pieces: list[Any] = []
        out = self._streamed(llm_bench, pieces, most=None, fault=faults.CUT)
        llm_bench.probe.assert_delta("llm_errors_total", {"network": 1})
        if out.attempts == 1:
            self._require(
                out.exception is not None, f"the stream was cut, but {pieces!r} was returned without an error"
            )
        self._require_idle(llm_bench)

    def _streamed(
        self, llm_bench: Bench, pieces: list[Any], most: int | None, fault: Fault | None = None
    ) -> CallResult:
        llm_bench.script.otherwise = _LONG
        if fault is not None:
            llm_bench.script.fail(fault)

        def act() -> Any:
            # the call may be made here, or when the first piece is read
            stream = self.stream()
            if hasattr(stream, "__await__") or hasattr(stream, "__aiter__"):
                return _aread(stream, pieces, most)
            return _read(stream, pieces, most)

        return llm_bench.run(act)


def _read(stream: Any, pieces: list[Any], most: int | None) -> None:
    try:
        for piece in stream:
            pieces.append(piece)
            if most is not None and len(pieces) >= most:
                break
    finally:
        if hasattr(stream, "close"):
            stream.close()


async def _aread(stream: Any, pieces: list[Any], most: int | None) -> None:
    if inspect.isawaitable(stream):
        stream = await stream
    try:
        async for piece in stream:
            pieces.append(piece)
            if most is not None and len(pieces) >= most:
                break
    finally:
        close = getattr(stream, "aclose", None) or getattr(stream, "close", None)
        if close is not None and inspect.isawaitable(closing := close()):
            await closing
