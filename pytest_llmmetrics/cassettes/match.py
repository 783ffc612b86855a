"""Selects the recorded interaction for a request, or says how the nearest one differs. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from llmmetrics.testing.harness import Target, json_of, target_of
from pytest_llmmetrics.cassettes import scrub
from pytest_llmmetrics.cassettes.files import Cassette, Interaction
from pytest_llmmetrics.cassettes.secrets import redact

_SHOWN = 60


class CassetteMissError(AssertionError):
    """No cassette of the test has an answer for a request, or the WebSocket that was opened."""


class Difference(NamedTuple):
    """A difference between a request and the recorded one. A missing value is `...`."""

    path: str
    recorded: Any
    asked: Any

    def __str__(self) -> str:
        return f"{self.path}: recorded {_short(self.recorded)}, sent {_short(self.asked)}"


@dataclass(frozen=True)
class Question:
    """A scrubbed request, in the form that is compared."""

    method: str
    url: str
    body: bytes = field(default=b"", repr=False)

    @property
    def target(self) -> Target:
        return target_of(self.method, self.url, self.body)

    @property
    def json(self) -> Any:
        """The body as a JSON value, or as text if it is not JSON."""
        value = json_of(self.body)
        return self.body.decode("utf8", "replace") if self.body and value is None else value

    def __str__(self) -> str:
        parts, model = urlsplit(self.url), self.target.model
        return f"{self.method} {parts.scheme}://{parts.netloc}{parts.path}" + (f" (model {model})" if model else "")


def question_of(
    method: str, url: str, headers: Mapping[str, Any], body: str | bytes, opaque: Collection[str] = ()
) -> Question:
    """Make a question of a request, scrubbed; a recorded one too, as an old recording may hold more."""
    kind = headers.get("content-type") or ""
    kept = scrub.request_body(
        body.encode() if isinstance(body, str) else body, str(kind[0] if isinstance(kind, list) else kind), opaque
    )
    return Question(method.upper(), scrub.url(url, opaque), kept.encode() if isinstance(kept, str) else kept or b"")


def differences(request: Question, recorded: Question, match: str) -> list[Difference]:
    """List the differences that matter for this kind of match; empty: the request matches."""
    changes: list[Difference] = []
    if request.method != recorded.method:
        changes.append(Difference("method", recorded.method, request.method))
    to, at = request.target, recorded.target
    if match == "body":
        changes += _where(request, to, recorded, at)
        if to.model != at.model:
            changes.append(Difference("model", at.model, to.model))
        changes += values(request.json, recorded.json, "body")
        if to.stream != at.stream and not any(each.path == "body.stream" for each in changes):
            changes.append(Difference("stream", at.stream, to.stream))
        return changes
    changes += _whose(to, at)
    if match == "api":
        if to.api != at.api:
            changes.append(Difference("API", at.api, to.api))
        if to.stream != at.stream:
            changes.append(Difference("stream", at.stream, to.stream))
    return changes


def _where(request: Question, to: Target, recorded: Question, at: Target) -> Iterator[Difference]:
    if to.host != at.host:
        yield Difference("host", at.host, to.host)
    if to.path != at.path:
        yield Difference("path", at.path, to.path)
    ours, theirs = dict(parse_qsl(urlsplit(request.url).query)), dict(parse_qsl(urlsplit(recorded.url).query))
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            yield Difference(f"query.{name}", theirs.get(name, ...), ours.get(name, ...))


def _whose(to: Target, at: Target) -> Iterator[Difference]:
    """Match any host of the provider, or an unknown host (a gateway, a proxy) that uses the provider's format."""
    if to.api is None:
        yield Difference("path", at.path, to.path)
    elif to.provider is not None and to.provider != at.provider:
        yield Difference("provider", at.provider, to.provider)
    elif to.provider is None and to.vendor != at.vendor:
        yield Difference("format", at.vendor, to.vendor)


def values(request: Any, recorded: Any, path: str) -> Iterator[Difference]:
    """Yield the differences of two JSON values."""
    if isinstance(request, dict) and isinstance(recorded, dict):
        for key in sorted(request.keys() | recorded.keys()):
            yield from values(_field(request, key), _field(recorded, key), f"{path}.{key}")
    elif isinstance(request, list) and isinstance(recorded, list):
        for n in range(max(len(request), len(recorded))):
            yield from values(_at(request, n), _at(recorded, n), f"{path}[{n}]")
    elif request != recorded or isinstance(request, bool) != isinstance(recorded, bool):
        yield Difference(path, recorded, request)


def _field(value: Mapping[str, Any], key: str) -> Any:
    """Return a field's value; null is the same as a missing field: versions of SDKs differ in what they send."""
    content = value.get(key)
    return ... if content is None or (key == "stream" and content is False) else content


def _at(values: Sequence[Any], n: int) -> Any:
    return values[n] if n < len(values) else ...


def _short(value: Any) -> str:
    if value is ...:
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = redact(text)
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…") if isinstance(value, str) else text[:_SHOWN]


class Card(NamedTuple):
    """One interaction, with its cassette."""

    cassette: Cassette
    number: int
    interaction: Interaction
    question: Question

    def __str__(self) -> str:
        return f"{self.cassette.name}, interactions[{self.number}] ({self.question})"


class Deck:
    """The interactions of a test's cassettes, in order."""

    def __init__(self, cassettes: Sequence[Cassette], opaque: Collection[str] = ()) -> None:
        self.cards = [
            Card(each, n, interaction, _recorded(interaction.request, opaque))
            for each in cassettes
            for n, interaction in enumerate(each.interactions)
        ]

    def choose(self, request: Question, played: Mapping[int, int]) -> int | None:
        """Return the number of the interaction that is played next for this request; None: no interaction is left.

        Each is played once, in order. After that, the last one is played again if its cassette has `repeat`.
        """
        matching = [
            n for n, card in enumerate(self.cards) if not differences(request, card.question, card.cassette.match)
        ]
        for n in matching:
            if not played.get(n):
                return n
        return matching[-1] if matching and self.cards[matching[-1]].cassette.repeat else None

    def why_none(self, request: Question) -> str:
        """Say why a request has no answer: the nearest recorded request, and how it differs."""
        compared = [(differences(request, card.question, card.cassette.match), card) for card in self.cards]
        if not compared:
            return f"{request} is not recorded yet"
        changes, card = min(compared, key=lambda each: _distance(each[0]))
        if not changes:
            times = sum(1 for changes, _ in compared if not changes)
            return f"{request} was sent more often than recorded: {times} times in {card.cassette.name}"
        shown = "; ".join(map(str, changes[:4])) + (f"; and {len(changes) - 4} more" if len(changes) > 4 else "")
        return f"{request} is not recorded. The nearest is {card}: {shown}"

    def unplayed(self, played: Mapping[int, int]) -> list[Card]:
        """Return the interactions that no request has used."""
        return [card for n, card in enumerate(self.cards) if not played.get(n)]


def _recorded(request: Mapping[str, Any], opaque: Collection[str]) -> Question:
    return question_of(request["method"], request["uri"], request["headers"], request.get("body") or b"", opaque)


def _distance(changes: Sequence[Difference]) -> tuple[int, int]:
    """Rank differences: another host or API is farther away than any number of changes in the body."""
    return sum(not each.path.startswith("body") for each in changes), len(changes)
