"""Plays one test's cassettes: vcrpy's hook for a request, and the parts of an answer that vcrpy cannot keep."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from ipaddress import ip_address
from threading import Lock
from typing import Any

from llmmetrics.testing.harness import Target, target_of
from pytest_llmmetrics.cassettes import drift, scrub, streams
from pytest_llmmetrics.cassettes.match import Card, Deck, Question

MARK = "x-llmmetrics-interaction"
"""The header with an interaction's number in the deck, inside vcrpy only. No client sees it."""


class CassetteMissError(AssertionError):
    """No cassette of the test has an answer for a request."""


class Replay:
    """The state of a replay: what was played, and what went wrong."""

    def __init__(
        self,
        deck: Deck,
        *,
        recording: bool = False,
        verifying: bool = False,
        pass_foreign: bool = False,
        opaque: Collection[str] = (),
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
        self.played: Mapping[int, int] = {}
        """How often each interaction was played, counted by vcrpy."""
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
        kind = str(request.headers.get("content-type", ""))
        kept = scrub.request_body(body if isinstance(body, bytes) else None, kind, self.opaque)
        question = Question(
            request.method, scrub.url(request.uri, self.opaque), kept.encode() if isinstance(kept, str) else kept or b""
        )
        if self._foreign(question.target):
            return None
        number = self.deck.choose(question, self.played)
        if number is None and not self.recording:
            why = self.deck.why_none(question)
            if why not in self.problems:
                self.problems.append(why)
            raise CassetteMissError(why)
        if self.recording:
            self.credentials.update(scrub.credentials(request.uri, dict(request.headers), self.opaque))
        request.uri, request.body = question.url, kept
        request.headers = scrub.request_headers(dict(request.headers))
        if number is not None:
            request.headers[MARK] = str(number)
        return request

    def foreign(self, request: Any) -> bool:
        """Tell whether a request is not an LLM call."""
        return self._foreign(target_of(request.method, str(request.url)))

    def _foreign(self, target: Target) -> bool:
        """Tell whether a request is not an LLM call and goes to this machine or another mock."""
        if target.api is not None or target.provider is not None or target.host in self._hosts:
            return False
        return self._pass_foreign or _is_loopback(target.host)

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
        if not self.verifying or card is None or card.interaction.fault or card.cassette.match == "provider":
            return None
        return card

    def compare(self, card: Card, live: Any) -> None:
        """Record how the shape of the complete live answer differs from the recorded one."""
        recorded = card.interaction.response
        before, now = int(recorded["status"]["code"]), live.status_code
        if before != now:
            self.drifts.append(f"{card}: status: was {before}, is {now}")
            return
        body = recorded["body"]["string"]
        # a live key that is a UUID was recorded as a placeholder
        kept = scrub.response_body(live.content, live.headers.get("content-type", ""), self.opaque)
        shapes = (drift.shape(each.encode() if isinstance(each, str) else each) for each in (body, kept))
        self.drifts += [f"{card}: {each}" for each in drift.compare(*shapes)]

    def unplayed(self) -> Iterator[Card]:
        """Yield the interactions that no request has used."""
        yield from self.deck.unplayed(self.played)


def _is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if host.count(":") == 1 else host
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name == "localhost"
