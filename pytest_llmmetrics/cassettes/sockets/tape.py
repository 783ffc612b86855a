"""Records WebSockets of `websockets`: the frames that its protocol sends and receives, for any kind of client."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pytest_llmmetrics.cassettes import scrub
from pytest_llmmetrics.cassettes.sockets.form import SocketExchange, SocketMessage

MODULE = "websockets.client"
_CONTINUATION, _TEXT, _BINARY, _CLOSE = 0x0, 0x1, 0x2, 0x8
"""Opcodes: RFC 6455, 5.2."""
_NO_CODE = 1005
_NAME = "llm_tape"


class SocketTape:
    """What has passed on one WebSocket so far."""

    def __init__(self, uri: str, headers: Mapping[str, str]) -> None:
        self._uri = uri
        self._headers = headers
        self._status = 0
        self._body = ""
        self._messages: list[SocketMessage] = []
        self._fragments: dict[str, tuple[int, bytearray]] = {}
        self._closed: tuple[int, str] | None = None
        self._is_closing = False

    def answered(self, response: Any) -> None:
        """See the answer to the handshake."""
        self._status = int(response.status_code)
        if self._status != SocketExchange("").status:
            self._body = (response.body or b"").decode("utf8", "replace")

    def passed(self, direction: str, frame: Any) -> None:
        """See a frame."""
        opcode = int(frame.opcode)
        if opcode == _CLOSE:
            if direction == "received" and not self._is_closing:
                code = int.from_bytes(frame.data[:2], "big") if frame.data else _NO_CODE
                self._closed = (code, bytes(frame.data[2:]).decode("utf8", "replace"))
            self._is_closing = True
        elif opcode in (_CONTINUATION, _TEXT, _BINARY):
            kind, whole = self._fragments.setdefault(direction, (opcode, bytearray()))
            whole.extend(frame.data)
            if frame.fin:
                del self._fragments[direction]
                content = bytes(whole).decode() if kind == _TEXT else bytes(whole)
                self._messages.append(SocketMessage(direction, content))

    def exchange(self, keep: Callable[[SocketMessage], SocketMessage]) -> SocketExchange | None:
        """Return what a cassette keeps of it; None if the handshake has no answer."""
        if not self._status:
            return None
        headers = scrub.request_headers(self._headers)
        messages = tuple(map(keep, self._messages))
        return SocketExchange(self._uri, headers, self._status, self._body, messages, self._closed)


Begin = Callable[[str, Mapping[str, str]], SocketTape | None]
"""Return the tape of a WebSocket to this address, with the headers of its handshake; None: it is not recorded."""


def patches(module: Any, begin: Begin) -> Iterator[tuple[type[Any], str, Any]]:
    """Yield the methods to replace, with the new ones."""
    protocol = module.ClientProtocol
    send_request, process_response = protocol.send_request, protocol.process_response

    def sent_request(self: Any, request: Any) -> Any:
        uri = getattr(self, "uri", None) or self.wsuri
        port = "" if uri.port == (443 if uri.secure else 80) else f":{uri.port}"
        address = f"{'wss' if uri.secure else 'ws'}://{uri.host}{port}{uri.resource_name}"
        vars(self)[_NAME] = begin(address, {name.lower(): value for name, value in request.headers.raw_items()})
        return send_request(self, request)

    def processed_response(self: Any, response: Any) -> Any:
        if tape := vars(self).get(_NAME):
            tape.answered(response)
        return process_response(self, response)

    yield protocol, "send_request", sent_request
    yield protocol, "process_response", processed_response
    yield protocol, "send_frame", _seen(protocol.send_frame, "sent")
    yield protocol, "recv_frame", _seen(protocol.recv_frame, "received")


def _seen(original: Callable[[Any, Any], Any], direction: str) -> Callable[[Any, Any], Any]:
    def passed(self: Any, frame: Any) -> Any:
        if tape := vars(self).get(_NAME):
            tape.passed(direction, frame)
        return original(self, frame)

    return passed
