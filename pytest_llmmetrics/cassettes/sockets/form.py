"""What a cassette keeps of a WebSocket: its address, its messages in order with their direction, and its end. Pure.

It stands under the key `sockets` of the file, which vcrpy ignores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple

DIRECTIONS = ("sent", "received")
"""By the client."""


class SocketMessage(NamedTuple):
    """One message: text, or bytes of a binary one."""

    direction: str
    content: str | bytes


@dataclass(frozen=True)
class SocketExchange:
    """One WebSocket from its handshake to its end."""

    uri: str
    headers: Mapping[str, Any] = field(default_factory=dict)
    status: int = int(HTTPStatus.SWITCHING_PROTOCOLS)
    """Of the handshake's answer; another one than 101 has rejected it, with this `body`."""
    body: str = ""
    messages: tuple[SocketMessage, ...] = ()
    closed: tuple[int, str] | None = None
    """The code and the reason with which the server has closed it; None: the client has."""

    @property
    def is_open(self) -> bool:
        """Whether the server has accepted the handshake."""
        return self.status == HTTPStatus.SWITCHING_PROTOCOLS


def parsed(row: Any) -> SocketExchange:
    """Read a WebSocket of a cassette. Raises `LookupError`, `TypeError`, `ValueError` or `AttributeError`."""
    closed = row.get("closed")
    return SocketExchange(
        str(row["uri"]),
        row.get("headers") or {},
        int(row.get("status", HTTPStatus.SWITCHING_PROTOCOLS)),
        str(row.get("body", "")),
        tuple(_message(each) for each in row["messages"]),
        None if closed is None else (int(closed["code"]), str(closed.get("reason", ""))),
    )


def _message(row: Any) -> SocketMessage:
    ((direction, content),) = row.items()
    if direction not in DIRECTIONS or not isinstance(content, str | bytes):
        raise ValueError(direction)
    return SocketMessage(direction, content)


def row_of(exchange: SocketExchange) -> dict[str, Any]:
    """Return the WebSocket as the file has it."""
    row: dict[str, Any] = {
        "uri": exchange.uri,
        "headers": dict(exchange.headers),
        "messages": [{each.direction: each.content} for each in exchange.messages],
    }
    if not exchange.is_open:
        row |= {"status": exchange.status, "body": exchange.body}
    if exchange.closed is not None:
        row["closed"] = {"code": exchange.closed[0], "reason": exchange.closed[1]}
    return row
