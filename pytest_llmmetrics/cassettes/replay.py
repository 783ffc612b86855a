"""Plays one test's cassettes: vcrpy's hook for a request, and the parts of an answer that vcrpy cannot keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import count
from threading import Lock
from typing import Any

from vcr.request import Request as VcrRequest

from llmmetrics.testing import Reply, Request
from llmmetrics.testing.harness import Target, target_of
from pytest_llmmetrics.cassettes import drift, live, scrub, streams
from pytest_llmmetrics.cassettes.live import LiveAnswer
from pytest_llmmetrics.cassettes.match import Card, CassetteMissError, Deck, Question, question_of
from pytest_llmmetrics.cassettes.received import Received
from pytest_llmmetrics.cassettes.replies import reply_of
from pytest_llmmetrics.cassettes.sockets.comparing import SocketCard
from pytest_llmmetrics.cassettes.sockets.playing import SocketReplay
from pytest_llmmetrics.stand_ins.messages import SOCKET_OF_AIOHTTP, Blocking, Passed, is_handshake

MARK = "x-llmmetrics-interaction"
"""The header with an interaction's number in the deck, inside vcrpy only. No client sees it."""


class Replay:
    """The state of a replay: what was played, and what went wrong."""

    def __init__(
        self,
        deck: Deck,
        sockets: Sequence[SocketCard] = (),
        *,
        recording: bool = False,
        verifying: bool = False,
        pass_foreign: bool = False,
        opaque: Collection[str] = (),
        advice: str = "",
    ) -> None:
        self.deck = deck
        self.opaque = opaque
        """JSON keys with random values that are no secret, and headers whose values may stand in a body."""
        self.recording = recording
        self.verifying = verifying
        self.problems: list[str] = []
        """Requests without an answer; an SDK may have swallowed the exception and retried."""
        self.drifts: list[str] = []
        self.credentials: dict[str, str] = {}
        """Values of the requests that must not be in a cassette, each with what it was."""
        self.played: Counter[int] = Counter()
        """How often each interaction was played; vcrpy counts too."""
        self.received: list[Received] = []
        """What urllib3 and aiohttp have recorded."""
        self._order = count()
        self._advice = advice
        """What to do about a request that is not recorded."""
        self.sockets = SocketReplay(sockets, opaque, self.problems, recording=recording, advice=advice)
        self.turn = Lock()
        self._pass_foreign = pass_foreign
        self._hosts = {card.question.target.host for card in deck.cards}

    def request(self, request: Any) -> Any:
        """Scrub a request, and mark it with the interaction that answers it: vcrpy's `before_record_request`.

        Return None for a request that passes to the network. Raises `CassetteMissError`.
        """
        if MARK in request.headers:
            # a request of the deck
            return request
        body = request.body
        question = question_of(
            *(request.method, request.uri, request.headers), body if isinstance(body, bytes) else b"", self.opaque
        )
        if self._foreign(question.target):
            return None
        number = self._choose(question)
        self._note(request.uri, request.headers)
        request.uri, request.body = question.url, question.body
        request.headers = scrub.request_headers(dict(request.headers))
        if number is not None:
            request.headers[MARK] = str(number)
        elif not hasattr(request, "number"):
            # vcrpy calls this several times for a request
            request.number = next(self._order)
        return request

    def answer_to(self, request: Request) -> Reply | Passed | Blocking:
        """Return the recorded reply to a request of urllib3 or aiohttp, or let it pass: it is foreign, or recorded.

        Raises `CassetteMissError`.
        """
        query = f"?{request.query}" if request.query else ""
        url = f"{request.scheme}://{request.host}{request.path}{query}"
        question = question_of(request.method, url, request.headers, request.body, self.opaque)
        if self._foreign(question.target):
            return Passed(lambda _: None)
        if is_handshake(request):
            raise self._miss(f"{question}: {SOCKET_OF_AIOHTTP}")
        # choosing and playing are one step, or two threads would play the same interaction
        with self.turn:
            number = self._choose(question)
            if number is not None:
                self.played[number] += 1
        if number is None:
            self._note(url, request.headers)
            return Passed(self._received(question, request.headers).raw.extend)
        card = self.deck.cards[number]
        return Blocking(lambda: self._verified(card, request)) if self._verifies(card) else reply_of(card.interaction)

    def _verified(self, card: Card, request: Request) -> Reply:
        """Compare a recorded reply with that of the live endpoint, and return the recorded one."""
        try:
            self.compare(card, live.ask(request))
        except OSError as exc:
            self.silent(card, exc)
        return reply_of(card.interaction)

    def _choose(self, question: Question) -> int | None:
        """Return the number of the interaction to play; None: the answer is to be recorded."""
        number = self.deck.choose(question, self.played)
        if number is None and not self.recording:
            raise self._miss(f"{self.deck.why_none(question)}. {self._advice}")
        return number

    def _miss(self, why: str) -> CassetteMissError:
        if why not in self.problems:
            self.problems.append(why)
        return CassetteMissError(why)

    def _note(self, url: str, headers: Mapping[str, Any]) -> None:
        """Note the values that must not be in a recording."""
        if self.recording:
            self.credentials.update(scrub.credentials(url, dict(headers), self.opaque))

    def _received(self, question: Question, headers: Mapping[str, str]) -> Received:
        request = VcrRequest(question.method, question.url, question.body, scrub.request_headers(headers))
        request.number = next(self._order)
        received = Received(request)
        self.received.append(received)
        return received

    def foreign(self, request: Any) -> bool:
        """Tell whether a request is not an LLM call."""
        return self._foreign(target_of(request.method, str(request.url)))

    def _foreign(self, target: Target) -> bool:
        """Tell whether a request is not an LLM call and goes to this machine or another mock."""
        if target.api or target.fetches or target.provider or target.host in self._hosts:
            return False
        return self._pass_foreign or target.is_here

    def answer(self, request: Any, response: Any, library: Any, *, asynchronous: bool) -> Any:
        """Return vcrpy's response with its stream split into events, or raise the cassette's exception."""
        number = response.headers.pop(MARK, None)
        fault = self.deck.cards[int(number)].interaction.fault if number is not None else None

        def broken() -> BaseException:
            assert fault is not None
            error: BaseException = getattr(library, fault.raises)(fault.says, request=request)
            return error

        if fault and fault.when == "headers":
            raise broken()
        body = b"".join(response.stream)
        plain = "content-encoding" not in response.headers
        chunks = streams.split(response.headers.get("content-type", "") if plain else "", body)
        response.stream = streams.kinds(library)[asynchronous](chunks, broken if fault else None)
        return response

    def to_verify(self, response: Any) -> Card | None:
        """Return the interaction to compare with a live answer; None: it is not verified."""
        card = self.deck.cards[int(response.headers[MARK])] if MARK in response.headers else None
        return card if card is not None and self._verifies(card) else None

    def _verifies(self, card: Card) -> bool:
        return self.verifying and not card.interaction.fault and card.cassette.match != "provider"

    def compare(self, card: Card, answer: LiveAnswer) -> None:
        """Record how the shape of the complete live answer differs from the recorded one."""
        recorded = card.interaction.response
        before = int(recorded["status"]["code"])
        if before != answer.status_code:
            self.drifts.append(f"{card}: status: was {before}, is {answer.status_code}")
            return
        body = recorded["body"]["string"]
        # a live key that is a UUID was recorded as a placeholder
        kept = scrub.response_body(answer.content, answer.content_type, self.opaque)
        shapes = (drift.shape(each.encode() if isinstance(each, str) else each) for each in (body, kept))
        self.drifts += [f"{card}: {each}" for each in drift.compare(*shapes)]

    def silent(self, card: Card, exc: Exception) -> None:
        """Record that the live endpoint did not answer."""
        self.drifts.append(f"{card}: the live endpoint did not answer: {type(exc).__name__}")

    def unplayed(self) -> Iterator[Card | SocketCard]:
        """Yield the interactions that no request has used, and the WebSockets that were not opened."""
        yield from self.deck.unplayed(self.played)
        yield from self.sockets.unplayed()
