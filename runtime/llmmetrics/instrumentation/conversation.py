"""Meters the responses of one WebSocket: each begins with a message, and is a call of its own.

The doors of libraries tell a `Conversation` each message before it is sent and after it is received. Budgets are asked
by the door, which may have to wait for the ledger: a method that returns a call wants it admitted, and `answer` takes
the budget's answer.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from typing import Any

from llmmetrics.core.call import Call
from llmmetrics.core.engine import Engine
from llmmetrics.errors import BudgetExceeded
from llmmetrics.instrumentation.adapter import Address
from llmmetrics.reading.endings import End
from llmmetrics.reading.sockets import Asks, Says, ServerMessage, SocketFormat, asked_model, socket_of
from llmmetrics.wire import SOCKET
from llmmetrics.wire.framing.frames import Doc, parse

POLICY = 1008
"""The code with which a WebSocket is closed whose budget is spent."""

_MOST = 1 << 20
"""Bytes: no model has a context window of more tokens."""


def conversation_at(meter: Engine, address: Address) -> Conversation | None:
    """Return the conversation of a WebSocket to this address; None if it carries no LLM calls."""
    try:
        path, _, query = address.raw_path.decode("latin1").partition("?")
        kind = socket_of(address.host, path)
        return None if kind is None else Conversation(meter, kind, address, asked_model(query))
    except Exception as exc:
        meter.swallow("websocket", exc)
        return None


class Conversation:
    """One WebSocket, and the calls of the responses on it."""

    def __init__(self, meter: Engine, kind: SocketFormat, address: Address, model: str | None) -> None:
        self._meter = meter
        self._kind = kind
        path = kind.address(address.raw_path.decode("latin1").partition("?")[0])
        scheme = {"ws": "http", "wss": "https"}.get(address.scheme, address.scheme)
        self._place = (SOCKET, scheme, address.host, address.port, path.encode(), None)
        self._settings: dict[str, Any] = {"model": model} if model else {}
        self._waiting: deque[Call] = deque()
        """Calls whose response the server has not begun."""
        self._expected: Call | None = None
        """The call of a response that the server may begin by itself: it is admitted before the client speaks."""
        self._open: dict[str, Call] = {}
        self._ended: Call | None = None
        """A call whose response has ended, and whose usage may follow."""
        self._passed = 0
        """Bytes of both sides: all of it may be the prompt of the next response."""
        self.refused: BudgetExceeded | None = None
        """Why the door has closed the WebSocket."""

    def opening(self) -> Call | None:
        """Return a call to ask the budget about before the handshake, if the address names the model."""
        call = self._begin({}) if self._settings else None
        if call is not None and not call.series.limited:
            call.discard()
            return None
        return call

    def sending(self, message: Any) -> Call | None:
        """See a message of the client before it is sent; return the call that the budget must admit before."""
        try:
            doc = self._read(message)
            if doc is None:
                return None
            self._settings |= self._kind.settings(doc) or {}
            asks = self._kind.asks(doc)
            if asks is Asks.NOTHING:
                return None
            self._finish_ended()
            if asks is Asks.MAYBE:
                return self._expect()
            call = self._take_expected() or self._begin(self._kind.request(doc))
            if call is None:
                return None
            self._waiting.append(call)
        except Exception as exc:
            self._meter.swallow("websocket", exc)
            return None
        return call if call.series.limited and call.admitted is None else None

    def received(self, message: Any) -> Call | None:
        """See a message of the server; return the call of a response that the server has begun by itself."""
        try:
            doc = self._read(message)
            said = self._kind.says(doc) if doc is not None else None
            if doc is None or said is None or said.kind is Says.NOTHING:
                return None
            return self._heard(doc, said)
        except Exception as exc:
            self._meter.swallow("websocket", exc)
            return None

    def answer(self, call: Call, exceeded: BudgetExceeded | None, *, opening: bool = False) -> BudgetExceeded | None:
        """Take the budget's answer about a call; return the refusal."""
        if exceeded is not None or opening:
            self._forget(call)
            call.discard()
        return exceeded

    def closed(self, exception: BaseException | None = None) -> None:
        """End the calls of a WebSocket that was closed by the caller, or lost with an exception."""
        self._finish_ended()
        if self._expected is not None:
            self._expected.discard()
            self._expected = None
        for call in (*self._waiting, *self._open.values()):
            call.finish(End.CLOSED if exception is None else End.RAISED, exception)
        self._waiting.clear()
        self._open.clear()

    def _read(self, message: Any) -> Doc | None:
        if not isinstance(message, str | bytes | bytearray | memoryview):
            return None
        self._passed += len(message)
        doc = parse(bytes(message) if isinstance(message, bytearray | memoryview) else message)
        return doc if isinstance(doc, dict) else None

    def _begin(self, request: Mapping[str, Any]) -> Call | None:
        body = {**self._settings, **{name: each for name, each in request.items() if each is not None}}
        # what is in the conversation already is a part of the prompt: its length stands for it
        padding = b" " * min(self._passed, _MOST)
        begun = self._meter.begin(self._place, json.dumps(body).encode() + padding)
        return begun if isinstance(begun, Call) else None

    def _expect(self) -> Call | None:
        if self._expected is not None or self._waiting or self._open:
            return None
        call = self._begin({})
        if call is None or not call.series.limited:
            # without a limit, nothing is to be asked before the response begins
            if call is not None:
                call.discard()
            return None
        self._expected = call
        return call

    def _take_expected(self) -> Call | None:
        call, self._expected = self._expected, None
        if call is not None:
            call.started = self._meter.clock.monotonic()
        return call

    def _heard(self, doc: Doc, said: ServerMessage) -> Call | None:
        if said.kind is Says.ERROR:
            self._failed(doc)
            return None
        if self._ended is not None:
            ended = self._ended
            if "usageMetadata" in doc and said.kind is Says.PART:
                self._feed(ended, doc)
                self._finish_ended()
                return None
            self._finish_ended()
        call, begun = self._of(said.response)
        if call is None:
            return None
        call.first_chunk()
        self._feed(call, said.kept)
        if said.kind is Says.PART:
            return begun
        self._forget(call)
        if said.kind is Says.LAST:
            self._ended = call
        else:
            call.finish(End.EXHAUSTED)
        return None

    def _of(self, response: str) -> tuple[Call | None, Call | None]:
        """Return the call of a response, and the same again if the budget has not admitted it."""
        call = self._open.get(response)
        if call is None and not response and len(self._open) == 1:
            call = next(iter(self._open.values()))
        if call is not None:
            return call, None
        call = self._waiting.popleft() if self._waiting else self._take_expected()
        begun = None
        if call is None:
            call = begun = self._begin({})
            if begun is not None and not begun.series.limited:
                begun = None
        if call is not None:
            call.http_status = 200
            self._open[response] = call
        return call, begun

    def _failed(self, doc: Doc) -> None:
        """End a call with an error: the request that has no response yet, or the only response."""
        call = self._waiting.popleft() if self._waiting else None
        if call is None and len(self._open) == 1:
            call = next(iter(self._open.values()))
        if call is not None:
            self._forget(call)
            call.http_status = 200
            self._feed(call, doc)
            call.finish(End.EXHAUSTED)

    def _feed(self, call: Call, doc: Doc | None) -> None:
        if doc is not None:
            call.buffer.feed(b"data: " + json.dumps(doc).encode() + b"\n\n")

    def _forget(self, call: Call) -> None:
        if call in self._waiting:
            self._waiting.remove(call)
        if call is self._expected:
            self._expected = None
        for response in [name for name, each in self._open.items() if each is call]:
            del self._open[response]

    def _finish_ended(self) -> None:
        call, self._ended = self._ended, None
        if call is not None:
            call.finish(End.EXHAUSTED)
