"""Plays recorded WebSockets: the server's part, message by message, and what the client must say between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from llmmetrics.testing.harness import is_here, is_llm_socket
from pytest_llmmetrics.cassettes import scrub
from pytest_llmmetrics.cassettes.match import CassetteMissError
from pytest_llmmetrics.cassettes.sockets.comparing import SocketCard, address, differences, fits, kept
from pytest_llmmetrics.cassettes.sockets.form import SocketExchange
from pytest_llmmetrics.cassettes.sockets.tape import SocketTape
from pytest_llmmetrics.stand_ins.websockets import Peer

_POLICY = 1008
_REJECTED = 503


class SocketReplay:
    """The WebSockets of one test: what was played, what is recorded, and what went wrong (in `problems`)."""

    def __init__(
        self, cards: Sequence[SocketCard], opaque: Collection[str], problems: list[str], *, recording: bool, advice: str
    ) -> None:
        self._cards = cards
        self._opaque = opaque
        self._problems = problems
        self._hosts = {urlsplit(card.exchange.uri).netloc for card in cards}
        self._turn = Lock()
        self.played: Counter[int] = Counter()
        self.tapes: list[SocketTape] = []
        self.credentials: dict[str, str] = {}
        self._recording = recording
        self._advice = advice

    def find(self, url: str) -> Peer | None:
        """Return the peer for a WebSocket; None: it goes to the network. Raises `CassetteMissError`."""
        uri = address(url, self._opaque)
        if self._is_foreign(uri):
            return None
        if self._next(uri) is not None:
            return _Played(self, uri)
        if self._recording:
            return None
        raise CassetteMissError(self.say(self.why_none(uri)))

    def tape(self, url: str, headers: Mapping[str, str]) -> SocketTape | None:
        """Begin to record a WebSocket that no card has."""
        uri = address(url, self._opaque)
        if not self._recording or self._is_foreign(uri) or self._next(uri) is not None:
            return None
        self.credentials.update(scrub.credentials(url, headers, self._opaque))
        self.tapes.append(tape := SocketTape(uri, headers))
        return tape

    def recorded(self) -> list[SocketExchange]:
        """Return what was recorded so far, scrubbed."""
        return [row for each in self.tapes if (row := each.exchange(lambda message: kept(message, self._opaque)))]

    def _is_foreign(self, uri: str) -> bool:
        """Tell whether a WebSocket is to this machine, and carries no LLM calls."""
        parts = urlsplit(uri)
        host = parts.hostname or ""
        return is_here(host) and parts.netloc not in self._hosts and not is_llm_socket(host, parts.path)

    def _next(self, uri: str) -> int | None:
        matching = [n for n, card in enumerate(self._cards) if fits(uri, card)]
        for n in matching:
            if not self.played[n]:
                return n
        return matching[-1] if matching and self._cards[matching[-1]].cassette.repeat else None

    def take(self, uri: str) -> SocketCard | None:
        """Return the card that is played now, once each and in order."""
        with self._turn:
            number = self._next(uri)
            if number is None:
                return None
            self.played[number] += 1
            return self._cards[number]

    def why_none(self, uri: str) -> str:
        """Say why a WebSocket has no card, and what to do."""
        recorded = [str(card) for card in self._cards]
        if any(fits(uri, card) for card in self._cards):
            return f"WebSocket {uri} was opened more often than recorded. {self._advice}"
        there_are = f": there are {', '.join(recorded)}" if recorded else " yet"
        return f"WebSocket {uri} is not recorded{there_are}. {self._advice}"

    def say(self, problem: str) -> str:
        """Note a problem once, and return it."""
        if problem not in self._problems:
            self._problems.append(problem)
        return problem

    def differs(self, content: str | bytes, recorded: str | bytes, card: SocketCard, number: int) -> bool:
        """Note how a message of the client differs from the recorded one; return whether it does."""
        changes = differences(content, recorded, card.cassette.match, self._opaque)
        if changes:
            self.say(f"{card}, messages[{number}]: {'; '.join(map(str, changes[:4]))}")
        return bool(changes)

    def unplayed(self) -> list[SocketCard]:
        """Return the WebSockets that the test has not opened."""
        return [card for n, card in enumerate(self._cards) if not self.played[n]]


class _Played:
    """The server's part of one recorded WebSocket."""

    def __init__(self, replay: SocketReplay, uri: str) -> None:
        self._replay = replay
        self._uri = uri
        self._card: SocketCard | None = None

    def accept(self, connection: Any, _: Any) -> Any:
        # chosen at the handshake: a spent budget may refuse it before it is sent
        self._card = self._replay.take(self._uri)
        if self._card is None:
            return connection.respond(_REJECTED, self._replay.say(self._replay.why_none(self._uri)))
        exchange = self._card.exchange
        return None if exchange.is_open else connection.respond(exchange.status, exchange.body)

    def talk(self, connection: Any) -> None:
        card = self._card
        assert card is not None
        exchange: SocketExchange = card.exchange
        for n, (direction, content) in enumerate(exchange.messages):
            if direction == "received":
                connection.send(content)
            elif self._replay.differs(connection.recv(), content, card, n):
                connection.close(_POLICY, "llm_cassette: another message was recorded")
                return
        if exchange.closed is not None:
            connection.close(*exchange.closed)
            return
        connection.recv()
        self._replay.say(f"{card}: the client has sent more messages than recorded")
        connection.close(_POLICY, "llm_cassette: no more messages were recorded")
