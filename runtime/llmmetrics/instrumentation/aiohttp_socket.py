"""Meters the WebSockets of aiohttp, as `websockets` does those of its own connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from llmmetrics.core.engine import Engine
from llmmetrics.instrumentation.adapter import address_of
from llmmetrics.instrumentation.conversation import POLICY, Conversation, conversation_at
from llmmetrics.instrumentation.send import claimed
from llmmetrics.instrumentation.websockets import asend, hold, of, raise_refusal

MeterNow = Callable[[], Engine | None]

_RECEIVING = "llm_receiving"

_OPEN = ("TEXT", "BINARY", "PING", "PONG", "CONTINUATION")
"""What is received on an open connection; aiohttp returns a message for the end of one, and raises nothing."""


def patches(module: Any, meter_now: MeterNow) -> Iterator[tuple[type[Any], str, Any]]:
    """Yield the methods to replace, with the new ones."""
    session, socket = module.ClientSession, module.ClientWebSocketResponse
    yield session, "_ws_connect", _connect(session._ws_connect, meter_now)  # noqa: SLF001
    for name in ("send_str", "send_bytes"):
        yield socket, name, asend(getattr(socket, name), meter_now)
    yield socket, "receive", _receive(socket.receive)
    yield socket, "close", _close(socket.close)


def _connect(original: Any, meter_now: MeterNow) -> Any:
    @wraps(original)
    async def _ws_connect(self: Any, url: Any, **options: Any) -> Any:
        meter = meter_now()
        if meter is None:
            return await original(self, url, **options)
        whole = self._build_url(url)
        params = options.get("params")
        address = address_of(str(whole.extend_query(params) if params else whole))
        conversation = conversation_at(meter, address)
        if conversation is None:
            return await original(self, url, **options)
        call = conversation.opening()
        if call is not None and (exceeded := conversation.answer(call, await meter.aadmit(call), opening=True)):
            raise exceeded
        # the handshake is a request, which is no call
        claimed.set(address)
        try:
            connection = await original(self, url, **options)
        finally:
            claimed.set(None)
        hold(connection, meter, conversation)
        return connection

    return _ws_connect


def _receive(original: Any) -> Any:
    @wraps(original)
    async def receive(self: Any, *args: Any, **options: Any) -> Any:
        held = of(self)
        if held is None:
            return await original(self, *args, **options)
        meter, conversation = held
        raise_refusal(conversation)
        vars(self)[_RECEIVING] = True
        try:
            message = await original(self, *args, **options)
        finally:
            vars(self)[_RECEIVING] = False
        if message.type.name not in _OPEN:
            _ended(conversation, self)
            return message
        call = conversation.received(message.data)
        if call is not None and (exceeded := conversation.answer(call, await meter.aadmit(call))):
            conversation.refused = exceeded
            await self.close(code=POLICY)
            raise exceeded
        return message

    return receive


def _close(original: Any) -> Any:
    @wraps(original)
    async def close(self: Any, *args: Any, **options: Any) -> Any:
        # `receive` closes a connection that the server has closed: it is not the caller who leaves
        if (held := of(self)) and not vars(self).get(_RECEIVING):
            held[1].closed()
        return await original(self, *args, **options)

    return close


def _ended(conversation: Conversation, connection: Any) -> None:
    """End the calls of a connection that the server has closed, or that is lost."""
    conversation.closed(connection.exception() or ConnectionResetError("the server closed the WebSocket"))
