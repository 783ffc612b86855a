"""Which recorded interaction a request gets, and what differs where it gets none. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from llmmetrics.testing.harness import Target, target_of
from pytest_llmmetrics.cassettes.files import Cassette, Interaction
from pytest_llmmetrics.cassettes.secrets import redact

_SHOWN = 60


class Difference(NamedTuple):
    """Where a request is not as recorded. A value that is not there is `...`."""

    path: str
    recorded: Any
    asked: Any

    def __str__(self) -> str:
        return f"{self.path}: recorded {_short(self.recorded)}, asked {_short(self.asked)}"


@dataclass(frozen=True)
class Question:
    """A request, scrubbed, as it is compared."""

    method: str
    url: str
    body: bytes = field(default=b"", repr=False)

    @property
    def target(self) -> Target:
        return target_of(self.method, self.url, self.body)

    @property
    def json(self) -> Any:
        """The body as a value; its text where it is no JSON."""
        try:
            return json.loads(self.body) if self.body else None
        except ValueError:
            return self.body.decode("utf8", "replace")

    def __str__(self) -> str:
        parts, model = urlsplit(self.url), self.target.model
        return f"{self.method} {parts.scheme}://{parts.netloc}{parts.path}" + (f" (model {model})" if model else "")


def question_of(request: Mapping[str, Any]) -> Question:
    """A recorded request as a question."""
    body = request.get("body") or b""
    return Question(request["method"], request["uri"], body.encode() if isinstance(body, str) else body)


def differences(asked: Question, recorded: Question, match: str) -> list[Difference]:
    """What of a request is not as recorded, as far as it has to be; nothing: it is the one."""
    found: list[Difference] = []
    if asked.method != recorded.method:
        found.append(Difference("method", recorded.method, asked.method))
    to, at = asked.target, recorded.target
    if match == "body":
        found += _where(asked, to, recorded, at)
        if to.model != at.model:
            found.append(Difference("model", at.model, to.model))
        found += _values(asked.json, recorded.json, "body")
        if to.stream != at.stream and not any(each.path == "body.stream" for each in found):
            found.append(Difference("stream", at.stream, to.stream))
        return found
    found += _whose(to, at)
    if match == "api":
        if to.api != at.api:
            found.append(Difference("API", at.api, to.api))
        if to.stream != at.stream:
            found.append(Difference("stream", at.stream, to.stream))
    return found


def _where(asked: Question, to: Target, recorded: Question, at: Target) -> Iterator[Difference]:
    if to.host != at.host:
        yield Difference("host", at.host, to.host)
    if to.path != at.path:
        yield Difference("path", at.path, to.path)
    ours, theirs = dict(parse_qsl(urlsplit(asked.url).query)), dict(parse_qsl(urlsplit(recorded.url).query))
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            yield Difference(f"query.{name}", theirs.get(name, ...), ours.get(name, ...))


def _whose(to: Target, at: Target) -> Iterator[Difference]:
    """A provider's own hosts, whichever; or one that nobody knows (a gateway, a proxy) and that speaks its format."""
    if to.api is None:
        yield Difference("path", at.path, to.path)
    elif to.provider is not None and to.provider != at.provider:
        yield Difference("provider", at.provider, to.provider)
    elif to.provider is None and to.vendor != at.vendor:
        yield Difference("format", at.vendor, to.vendor)


def _values(asked: Any, recorded: Any, path: str) -> Iterator[Difference]:
    if isinstance(asked, dict) and isinstance(recorded, dict):
        for key in sorted(asked.keys() | recorded.keys()):
            yield from _values(_said(asked, key), _said(recorded, key), f"{path}.{key}")
    elif isinstance(asked, list) and isinstance(recorded, list):
        for n in range(max(len(asked), len(recorded))):
            yield from _values(_at(asked, n), _at(recorded, n), f"{path}[{n}]")
    elif asked != recorded or isinstance(asked, bool) != isinstance(recorded, bool):
        yield Difference(path, recorded, asked)


def _said(value: Mapping[str, Any], key: str) -> Any:
    """A field's value. SDKs differ, from version to version, in whether they write what is not said as null."""
    said = value.get(key)
    return ... if said is None or (key == "stream" and said is False) else said


def _at(values: Sequence[Any], n: int) -> Any:
    return values[n] if n < len(values) else ...


def _short(value: Any) -> str:
    if value is ...:
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = redact(text)
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…") if isinstance(value, str) else text[:_SHOWN]


class Card(NamedTuple):
    """One interaction, and the cassette it is from."""

    cassette: Cassette
    number: int
    interaction: Interaction
    question: Question

    def __str__(self) -> str:
        return f"{self.cassette.name}, interactions[{self.number}] ({self.question})"


class Deck:
    """The interactions of one or several cassettes, in order."""

    def __init__(self, cassettes: Sequence[Cassette]) -> None:
        self.cards = [
            Card(each, n, interaction, question_of(interaction.request))
            for each in cassettes
            for n, interaction in enumerate(each.interactions)
        ]

    def choose(self, asked: Question, played: Mapping[int, int]) -> int | None:
        """The interaction that is played next for this request.

        Each is played once, in order; when all have been, the last one goes on, where its cassette says `repeat`.
        """
        matching = [
            n for n, card in enumerate(self.cards) if not differences(asked, card.question, card.cassette.match)
        ]
        for n in matching:
            if not played.get(n):
                return n
        return matching[-1] if matching and self.cards[matching[-1]].cassette.repeat else None

    def why_none(self, asked: Question) -> str:
        """Why a request gets nothing: the nearest recorded request, and what differs."""
        compared = [(differences(asked, card.question, card.cassette.match), card) for card in self.cards]
        if not compared:
            return f"{asked} is not recorded yet"
        found, card = min(compared, key=lambda each: _distance(each[0]))
        if not found:
            times = sum(1 for found, _ in compared if not found)
            return f"{asked} was asked once more than is recorded: {times} in {card.cassette.name}"
        shown = "; ".join(map(str, found[:4])) + (f"; and {len(found) - 4} more" if len(found) > 4 else "")
        return f"{asked} is not recorded. The nearest is {card}: {shown}"

    def unplayed(self, played: Mapping[int, int]) -> list[Card]:
        """What nobody asked for."""
        return [card for n, card in enumerate(self.cards) if not played.get(n)]


def _distance(found: Sequence[Difference]) -> tuple[int, int]:
    """Another host or API is farther away than any number of words."""
    return sum(not each.path.startswith("body") for each in found), len(found)
