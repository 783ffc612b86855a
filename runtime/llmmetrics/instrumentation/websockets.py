"""Meters `websockets`, and what converses through it: OpenAI's Realtime and Responses, Gemini Live.

It cuts in at a connection's handshake and at the methods that send and receive whole messages. A message that the
caller receives in fragments is not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from llmmetrics.core.engine import Engine
from llmmetrics.instrumentation import unmetered
from llmmetrics.instrumentation.adapter import Address
from llmmetrics.instrumentation.conversation import POLICY, Conversation, conversation_at

_NAME = "llm_conversation"
_WHY = "the budget of this backend is spent"

MeterNow = Callable[[], Engine | None]


def patches(module: Any, meter_now: MeterNow) -> Iterator[tuple[type[Any], str, Any]]:
    """Yield the methods to replace, with the new ones."""
    connection = module.ClientConnection
    # it connects before its handshake
    unmetered.connecting.add(module.__name__)
    make = _ASYNC if ".asyncio." in module.__name__ else _SYNC
    for name, wrapped in make.items():
        yield connection, name, wrapped(getattr(connection, name), meter_now)


def _opened(connection: Any, meter: Engine) -> Conversation | None:
    protocol = connection.protocol
    # the name of before version 16
    uri = getattr(protocol, "uri", None) or protocol.wsuri
    port = None if uri.port == (443 if uri.secure else 80) else uri.port
    address = Address("wss" if uri.secure else "ws", uri.host, port, uri.resource_name.encode())
    conversation = conversation_at(meter, address)
    if conversation is not None:
        hold(connection, meter, conversation)
    return conversation


def hold(connection: Any, meter: Engine, conversation: Conversation) -> None:
    """Make a connection tell its messages to a conversation."""
    vars(connection)[_NAME] = (meter, conversation)


def of(connection: Any) -> tuple[Engine, Conversation] | None:
    """Return the conversation of a connection, with its meter; None if it carries no LLM calls."""
    held: tuple[Engine, Conversation] | None = vars(connection).get(_NAME)
    return held


def raise_refusal(conversation: Conversation) -> None:
    """Raise why the door has closed this WebSocket, if it has."""
    if conversation.refused is not None:
        raise conversation.refused


# asyncio


def _ahandshake(original: Any, meter_now: MeterNow) -> Any:
    @wraps(original)
    async def handshake(self: Any, *args: Any, **options: Any) -> Any:
        meter = meter_now()
        conversation = None if meter is None else _opened(self, meter)
        call = None if conversation is None else conversation.opening()
        if meter and conversation and call:
            exceeded = conversation.answer(call, await meter.aadmit(call), opening=True)
            if exceeded:
                raise exceeded
        return await original(self, *args, **options)

    return handshake


def asend(original: Any, _: MeterNow) -> Any:
    """Wrap a method that sends its first argument."""

    @wraps(original)
    async def send(self: Any, message: Any, *args: Any, **options: Any) -> Any:
        if held := of(self):
            meter, conversation = held
            raise_refusal(conversation)
            call = conversation.sending(message)
            if call is not None and (exceeded := conversation.answer(call, await meter.aadmit(call))):
                raise exceeded
        return await original(self, message, *args, **options)

    return send


def _arecv(original: Any, _: MeterNow) -> Any:
    @wraps(original)
    async def recv(self: Any, *args: Any, **options: Any) -> Any:
        held = of(self)
        if held is None:
            return await original(self, *args, **options)
        meter, conversation = held
        raise_refusal(conversation)
        try:
            message = await original(self, *args, **options)
        except Exception as exc:
            _lost(conversation, exc)
            raise
        call = conversation.received(message)
        if call is not None and (exceeded := conversation.answer(call, await meter.aadmit(call))):
            # the server begins responses by itself: only without a connection it stops
            conversation.refused = exceeded
            await self.close(POLICY, _WHY)
            raise exceeded
        return message

    return recv


def _aclose(original: Any, _: MeterNow) -> Any:

    @wraps(original)
    async def close(self: Any, *args: Any, **options: Any) -> Any:
        if held := of(self):
            held[1].closed()
        return await original(self, *args, **options)

    return close


_ASYNC = {"handshake": _ahandshake, "send": asend, "recv": _arecv, "close": _aclose}


# threads


def _handshake(original: Any, meter_now: MeterNow) -> Any:
    @wraps(original)
    def handshake(self: Any, *args: Any, **options: Any) -> Any:
        meter = meter_now()
        conversation = None if meter is None else _opened(self, meter)
        call = None if conversation is None else conversation.opening()
        if meter and conversation and call:
            exceeded = conversation.answer(call, meter.admit(call), opening=True)
            if exceeded:
                raise exceeded
        return original(self, *args, **options)

    return handshake


def _send(original: Any, _: MeterNow) -> Any:
    @wraps(original)
    def send(self: Any, message: Any, *args: Any, **options: Any) -> Any:
        if held := of(self):
            meter, conversation = held
            raise_refusal(conversation)
            call = conversation.sending(message)
            if call is not None and (exceeded := conversation.answer(call, meter.admit(call))):
                raise exceeded
        return original(self, message, *args, **options)

    return send


def _recv(original: Any, _: MeterNow) -> Any:
    @wraps(original)
    def recv(self: Any, *args: Any, **options: Any) -> Any:
        held = of(self)
        if held is None:
            return original(self, *args, **options)
        meter, conversation = held
        raise_refusal(conversation)
        try:
            message = original(self, *args, **options)
        except Exception as exc:
            _lost(conversation, exc)
            raise
        call = conversation.received(message)
        if call is not None and (exceeded := conversation.answer(call, meter.admit(call))):
            conversation.refused = exceeded
            self.close(POLICY, _WHY)
            raise exceeded
        return message

    return recv


def _close(original: Any, _: MeterNow) -> Any:
    @wraps(original)
    def close(self: Any, *args: Any, **options: Any) -> Any:
        if held := of(self):
            held[1].closed()
        return original(self, *args, **options)

    return close


_SYNC = {"handshake": _handshake, "send": _send, "recv": _recv, "close": _close}


def _lost(conversation: Conversation, exception: Exception) -> None:
    """End the calls of a connection that is lost; a timeout of receiving leaves it open."""
    if not isinstance(exception, TimeoutError):
        conversation.closed(exception)
