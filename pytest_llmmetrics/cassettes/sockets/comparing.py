"""Scrubs the messages of a WebSocket by the rules for HTTP, compares them, and searches them for secrets. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from llmmetrics.testing.harness import json_of
from pytest_llmmetrics.cassettes import scrub
from pytest_llmmetrics.cassettes.files import Cassette
from pytest_llmmetrics.cassettes.match import Difference, values
from pytest_llmmetrics.cassettes.secrets import SuspectedSecret, scan
from pytest_llmmetrics.cassettes.sockets.form import SocketExchange, SocketMessage

_QUERY = frozenset({"model", "deployment", "intent"})
"""Parameters that are kept besides those of HTTP: the address of a Realtime session names its model."""

_RANDOM = frozenset({"event_id"})
"""What a client makes up for each message."""

_HEAD = 400
"""Characters of a message in which its type stands."""


class SocketCard(NamedTuple):
    """One recorded WebSocket, with its cassette."""

    cassette: Cassette
    number: int
    exchange: SocketExchange

    def __str__(self) -> str:
        return f"{self.cassette.name}, sockets[{self.number}] ({self.exchange.uri})"


def address(url: str, opaque: Collection[str]) -> str:
    """Return the address of a WebSocket as a cassette keeps it."""
    return scrub.url(url, opaque, _QUERY)


def fits(url: str, card: SocketCard) -> bool:
    """Tell whether a WebSocket to this address has the messages of this card."""
    if card.cassette.match == "body":
        return url == card.exchange.uri
    return urlsplit(url).path == urlsplit(card.exchange.uri).path


def kept(message: SocketMessage, opaque: Collection[str]) -> SocketMessage:
    """Return a message as a cassette keeps it."""
    direction, content = message
    raw = content.encode() if isinstance(content, str) else content
    spared = {*opaque, *_audio(content)}
    if direction == "sent":
        return SocketMessage(direction, scrub.request_body(raw, "", spared) or "")
    return SocketMessage(direction, scrub.response_body(raw, "", spared))


def _audio(content: str | bytes) -> frozenset[str]:
    """Return the keys with audio: its base64 is as random as a key."""
    head = content[:_HEAD] if isinstance(content, str) else content[:_HEAD].decode("latin1")
    return frozenset({"audio", "delta"} if "audio.delta" in head else {"audio"})


def differences(content: str | bytes, recorded: str | bytes, match: str, opaque: Collection[str]) -> list[Difference]:
    """List how a message of the client differs from the recorded one; empty: it is the same."""
    asked, before = _document(kept(SocketMessage("sent", content), opaque).content), _document(recorded)
    if match != "body":
        asked, before = (each.get("type") if isinstance(each, dict) else None for each in (asked, before))
    return list(values(asked, before, "message"))


def _document(content: str | bytes) -> Any:
    document = json_of(content)
    if not isinstance(document, dict):
        return content if document is None else document
    return {key: each for key, each in document.items() if key not in _RANDOM}


def secrets_in(
    exchanges: Collection[SocketExchange], known: Mapping[str, str] | None, opaque: Collection[str]
) -> Iterator[SuspectedSecret]:
    """Find what looks like a secret in recorded WebSockets."""
    for number, exchange in enumerate(exchanges):
        for each in scan({"uri": exchange.uri, "body": exchange.body}, "", known, opaque):
            yield each._replace(where=f"sockets[{number}].{each.where}")
        for n, (_, content) in enumerate(exchange.messages):
            for each in scan({"message": content}, "", known, {*opaque, *_audio(content)}):
                yield each._replace(where=f"sockets[{number}].messages[{n}]{each.where.removeprefix('message')}")
