"""One test's cassettes while they play: what vcrpy asks about a request, and what of an answer vcrpy cannot hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from threading import Lock
from typing import Any

from llmmetrics.testing.harness import Target, target_of
from pytest_llmmetrics.cassettes import drift, scrub, streams
from pytest_llmmetrics.cassettes.match import Card, Deck, Question

MARK = "x-llmmetrics-interaction"
"""The header by which an interaction is known inside vcrpy: its number in the deck. No client sees it."""


class CassetteMissError(AssertionError):
    """A request that no cassette of the test has an answer for."""


class Replay:
    """What is played, and what went wrong. Handed to vcrpy as hooks, and to the clients as doors."""

    def __init__(
        self, deck: Deck, *, recording: bool = False, verifying: bool = False, pass_foreign: bool = False
    ) -> None:
        self.deck = deck
        self.recording = recording
        self.verifying = verifying
        self.problems: list[str] = []
        """Requests that got no answer; an SDK may have swallowed the exception and tried again."""
        self.drifts: list[str] = []
        self.credentials: set[str] = set()
        """What was sent and must not be kept."""
        self.played: Mapping[int, int] = {}
        """How often each interaction was played; vcrpy counts."""
        self.turn = Lock()
        self._pass_foreign = pass_foreign
        self._hosts = {card.question.target.host for card in deck.cards}

    def request(self, request: Any) -> Any:
        """Vcrpy's `before_record_request`: the request scrubbed, and marked with the interaction that answers it.

        None lets it through. Raises `CassetteMissError`.
        """
        if MARK in request.headers:
            # one of the deck's own
            return request
        body = request.body
        kept = scrub.request_body(body if isinstance(body, bytes) else None)
        asked = Question(
            request.method, scrub.url(request.uri), kept.encode() if isinstance(kept, str) else kept or b""
        )
        if self._foreign(asked.target):
            return None
        number = self.deck.choose(asked, self.played)
        if number is None and not self.recording:
            why = self.deck.why_none(asked)
            if why not in self.problems:
                self.problems.append(why)
            raise CassetteMissError(why)
        if self.recording:
            self.credentials.update(scrub.credentials(request.uri, dict(request.headers)))
        request.uri, request.body = asked.url, kept
        request.headers = scrub.request_headers(dict(request.headers))
        if number is not None:
            request.headers[MARK] = str(number)
        return request

    def foreign(self, request: Any) -> bool:
        """Whether a client's request is none of ours."""
        return self._foreign(target_of(request.method, str(request.url)))

    def _foreign(self, target: Target) -> bool:
        """Whether it is no LLM call, to this machine or to another mock."""
        if target.api is not None or target.provider is not None or target.host in self._hosts:
            return False
        return self._pass_foreign or _is_loopback(target.host)

    def answer(self, request: Any, response: Any, library: Any, *, asynchronous: bool) -> Any:
        """What the client gets for what vcrpy gave: a stream in its events, or the exception that a cassette names."""
        number = response.headers.pop(MARK, None)
        fault = self.deck.cards[int(number)].interaction.fault if number is not None else None

        def broken() -> BaseException:
            assert fault is not None
            made: BaseException = getattr(library, fault.raises)(fault.says, request=request)
            return made

        if fault and fault.when == "headers":
            raise broken()
        body = b"".join(response.stream)
        plain = "content-encoding" not in response.headers
        chunks = streams.split(response.headers.get("content-type", "") if plain else "", body)
        response.stream = streams.kinds(library)[asynchronous](chunks, broken if fault else None)
        return response

    def to_verify(self, response: Any) -> Card | None:
        """The interaction that is compared with the live answer: one that the endpoint can be asked for again."""
        card = self.deck.cards[int(response.headers[MARK])] if MARK in response.headers else None
        if not self.verifying or card is None or card.interaction.fault or card.cassette.match == "provider":
            return None
        return card

    def compare(self, card: Card, live: Any) -> None:
        """Take down how the live answer, read to its end, differs in shape from the recorded one."""
        recorded = card.interaction.response
        before, now = int(recorded["status"]["code"]), live.status_code
        if before != now:
            self.drifts.append(f"{card}: status: was {before}, is {now}")
            return
        body = recorded["body"]["string"]
        shapes = (drift.shape(each.encode() if isinstance(each, str) else each) for each in (body, live.content))
        self.drifts += [f"{card}: {each}" for each in drift.compare(*shapes)]

    def unplayed(self) -> Iterator[Card]:
        """What nobody asked for."""
        yield from self.deck.unplayed(self.played)


def _is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if host.count(":") == 1 else host
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name == "localhost"
