"""The fixture `llm_cassette`: finds, reads and plays a test's cassettes, and judges their use at its end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pytest_llmmetrics import options
from pytest_llmmetrics.cassettes import files as cassette_files
from pytest_llmmetrics.cassettes import names as cassette_names
from pytest_llmmetrics.cassettes import recording
from pytest_llmmetrics.cassettes.doors import opened
from pytest_llmmetrics.cassettes.files import Cassette, CassetteError, Interaction
from pytest_llmmetrics.cassettes.marks import refuse_rivals, wanted
from pytest_llmmetrics.cassettes.match import Deck
from pytest_llmmetrics.cassettes.replay import MARK, Replay
from pytest_llmmetrics.cassettes.sockets.comparing import SocketCard
from pytest_llmmetrics.cassettes.sockets.form import SocketExchange
from pytest_llmmetrics.network import denied, sentence


class LlmCassette:
    """The cassettes of one test."""

    def __init__(self, item: pytest.Item, own: Path | None) -> None:
        mark = item.get_closest_marker("llm_cassette")
        if mark is None:
            raise CassetteError("the fixture llm_cassette needs @pytest.mark.llm_cassette on the test")
        refuse_rivals(item)
        self.wanted = wanted(mark)
        self.mode = options.record_mode(item.config)
        self._shipped = cassette_names.shipped()
        defaults = [item.path.parent / "cassettes", item.config.rootpath / "cassettes"]
        places = [Path(own)] if own else list(dict.fromkeys(defaults))
        # the shipped cassettes are never written, not even in their own checkout
        self._own = [place for place in places if place != self._shipped]
        self._target = self._to_record() if self.mode in ("once", "all") else None
        self.kept: tuple[Interaction, ...] = ()
        self._kept_sockets: tuple[SocketExchange, ...] = ()
        self._metadata: dict[str, object] = {}
        self._written: tuple[int, list[SocketExchange]] = (0, [])
        self._guarded = (
            self._target is None and self.mode != "verify" and item.config.getoption("llm_network", "auto") != "allow"
        )
        self._tried: list[str] = []
        self._cassettes = [each for name in self.wanted.names if (each := self._read(name))]
        self._opaque = {*self.wanted.opaque, *(name for each in self._cassettes for name in each.opaque)}
        self.replay = Replay(
            Deck(self._cassettes, self._opaque),
            [SocketCard(each, n, row) for each in self._cassettes for n, row in enumerate(each.sockets)],
            opaque=self._opaque,
            advice=self._advice(),
            recording=self._target is not None,
            verifying=self.mode == "verify",
            pass_foreign="respx_mock" in getattr(item, "fixturenames", ()),
        )

    def _to_record(self) -> tuple[str, Path] | None:
        """Return the cassette to record into: the first that is the user's own, or that does not exist yet."""
        for name in self.wanted.names:
            path = cassette_names.find(name, self._own)
            is_shipped = cassette_names.find(name, [self._shipped])
            if path or not is_shipped:
                place = next((each for each in self._own if each.is_dir()), self._own[0])
                return name, path or cassette_names.path_of(place, name)
        return None

    def _advice(self) -> str:
        """Say how to record what no cassette of the test has."""
        own = self._to_record()
        if own is None:
            return (
                "The cassettes on the marker ship with the plugin, and stay as they are. Name one of your own there "
                "too, then run: pytest --llm-record=once"
            )
        where = ", on your own machine: CI is set" if options.in_ci() else ""
        return f"To add it to {own[0]}, run: pytest --llm-record=once{where}"

    def _read(self, name: str) -> Cassette | None:
        places = [*self._own, self._shipped]
        path = cassette_names.find(name, places)
        is_target = self._target is not None and self._target[0] == name
        if path is None:
            if is_target:
                return None
            raise cassette_names.missing(name, places)
        cassette = cassette_files.read(path, name)
        if self._shipped not in path.parents:
            opaque = [*self.wanted.opaque, *cassette.opaque]
            if secrets := recording.findings(cassette, path.read_text("utf8"), opaque):
                raise CassetteError(f"cassette {name} contains a secret: {recording.advice(secrets)}")
        if is_target and self.mode == "all":
            return None
        if is_target:
            self.kept, self._kept_sockets = cassette.interactions, cassette.sockets
            self._metadata = dict(cassette.metadata)
        return cassette

    @contextmanager
    def playing(self) -> Iterator[None]:
        """Play inside the block. Calls that a fixture makes at its end are recorded too."""
        with ExitStack() as stack:
            if self._guarded:
                self._tried = stack.enter_context(denied())
            self._vcr = stack.enter_context(opened(self.replay))
            yield
            self.write()

    @property
    def play_count(self) -> int:
        """The number of requests and WebSockets that the cassettes answered."""
        return sum(self.replay.played.values()) + sum(self.replay.sockets.played.values())

    def write(self) -> None:
        """Write the new interactions. Raises `CassetteError` if they contain a secret."""
        if self._target is None:
            return
        pairs, sockets = self._recorded(), self.replay.sockets.recorded()
        if (len(pairs), sockets) == self._written:
            return
        self._written = (len(pairs), sockets)
        name, path = self._target
        responses = [response for _, response in pairs]
        recorded = recording.interactions([request for request, _ in pairs], responses, self._opaque)
        asked = {**self.replay.credentials, **self.replay.sockets.credentials}
        known = {**recording.answered_credentials(responses, self._opaque), **asked}
        # time.time, not datetime.now: every tool that freezes time patches it
        today = datetime.fromtimestamp(time.time(), UTC).date()
        text = recording.text_of(
            name,
            [*self.kept, *recorded],
            self._metadata,
            [*self._kept_sockets, *sockets],
            credentials=known,
            opaque=self.wanted.opaque,
            today=today,
        )
        cassette_files.write(path, text)

    def cut(self) -> Iterator[str]:
        """Say which requests have an answer that did not come to its end."""
        for each in self.replay.received:
            if each.is_cut:
                request = each.request
                yield (
                    f"{request.method} {request.uri} was not recorded: its answer did not come to its end. Read the "
                    "answer to its end while it is recorded"
                )

    def _recorded(self) -> list[tuple[Any, Any]]:
        """Return the new requests with their answers, in the order of the requests."""
        made = [(each.request, each.response) for each in self.replay.received]
        pairs = zip(self._vcr.requests, self._vcr.responses, strict=True)
        new = [pair for pair in (*pairs, *made) if pair[1] is not None and MARK not in pair[0].headers]
        return sorted(new, key=lambda pair: int(pair[0].number))

    def problems(self) -> list[str]:
        """List what went wrong, including what the code under test has swallowed."""
        drifts = (f"the live endpoint has changed: {each}" for each in self.replay.drifts)
        return [*self.replay.problems, *drifts, *map(sentence, self._tried[:1])]

    def unused(self) -> str | None:
        """Say which interactions no request has used; None: all were used, or unused ones are allowed."""
        left = list(self.replay.unplayed())
        if self.wanted.allow_unused or not left:
            return None
        never = _names(self._cassettes, {card.cassette.name for card in left})
        return (
            f"no request used: {'; '.join(map(str, left))}. Send the request, remove {never} from the marker, "
            "or allow it: @pytest.mark.llm_cassette(…, unused='allow')"
        )


def _names(cassettes: Sequence[Cassette], left: set[str]) -> str:
    return ", ".join(dict.fromkeys(each.name for each in cassettes if each.name in left))


@contextmanager
def playing(item: pytest.Item, own: Path | None) -> Iterator[LlmCassette]:
    """Play the test's cassettes inside the block."""
    try:
        played = LlmCassette(item, own)
    except CassetteError as exc:
        raise pytest.fail.Exception(str(exc), pytrace=False) from None
    try:
        with played.playing():
            yield played
    except CassetteError as exc:
        raise pytest.fail.Exception(str(exc), pytrace=False) from None


def conclude(played: LlmCassette, failure: BaseException | None) -> None:
    """Fail the test for problems with its cassettes; add them as notes if the test has failed itself."""
    problems = played.problems()
    if failure is not None:
        for each in problems:
            if each not in str(failure):
                failure.add_note(each)
        return
    try:
        played.write()
    except CassetteError as exc:
        problems.append(str(exc))
    problems += played.cut()
    if not problems and (unused := played.unused()):
        problems.append(unused)
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)
