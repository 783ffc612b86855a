"""Plays at every HTTP library, below every meter, so that a meter sees a replay as it sees the network.

vcrpy replaces the methods of the transports' classes of httpx and httpx2; our own patch of the same methods wraps
vcrpy's. In urllib3 and aiohttp a stand-in answers where they connect. vcrpy's own patches of the two are not used: they
read an answer to its end before the caller gets it, and keep a body that aiohttp makes as an object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import wraps
from importlib import import_module
from typing import Any
from unittest import mock

import vcr
from vcr.patch import CassettePatcherBuilder
from vcr.request import Request

from pytest_llmmetrics.cassettes.live import LiveAnswer
from pytest_llmmetrics.cassettes.replay import MARK, Replay
from pytest_llmmetrics.cassettes.sockets import tape
from pytest_llmmetrics.stand_ins.standing import patched, standing_in

_FAMILIES = ("httpx", "httpx2")
_IN_PROCESS = (
    ("ASGITransport", "handle_async_request"),
    ("WSGITransport", "handle_request"),
    ("MockTransport", "handle_request"),
    ("MockTransport", "handle_async_request"),
)
"""Transports without a network: the application under test, or a mock of the test."""

_STOOD_IN = ("_requests", "_boto3", "_urllib3", "_aiohttp")
"""vcrpy's patches of libraries that `stand_ins` answers. Its option `skip_patchers` is newer than our lower bound."""


@contextmanager
def opened(replay: Replay) -> Iterator[Any]:
    """Play inside the block. Yield vcrpy's cassette, which has the played and recorded requests and responses."""
    libraries = [library for name in _FAMILIES if (library := _library(name))]
    real = [
        (library, transport, name, make, getattr(transport, name))
        for library in libraries
        for transport, name, make in (
            (library.HTTPTransport, "handle_request", _door),
            (library.AsyncHTTPTransport, "handle_async_request", _async_door),
        )
    ]
    spared = [
        (getattr(library, transport), name, getattr(getattr(library, transport), name))
        for library in libraries
        for transport, name in _IN_PROCESS
    ]
    recorder = vcr.VCR(
        record_mode="new_episodes" if replay.recording else "none",
        match_on=["interaction"],
        before_record_request=replay.request,
    )
    recorder.register_matcher("interaction", _same)
    recorder.register_persister(_Memory(replay))
    with ExitStack() as stack:
        with ExitStack() as entering:
            for name in _STOOD_IN:
                entering.enter_context(mock.patch.object(CassettePatcherBuilder, name, return_value=()))
            cassette = stack.enter_context(recorder.use_cassette("llm_cassette", allow_playback_repeats=True))
        replay.played = cassette.play_counts
        stack.enter_context(standing_in(replay.answer_to, lambda _host, _port: True, replay.sockets.find))
        if replay.recording:
            patched(tape.MODULE, lambda module: tape.patches(module, replay.sockets.tape), stack)
        for owner, name, original in spared:
            stack.enter_context(mock.patch.object(owner, name, original))
        for library, owner, name, make, original in real:
            door = make(replay, getattr(owner, name), original, library)
            stack.enter_context(mock.patch.object(owner, name, door))
        yield cassette


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        return None


def _same(request: Any, recorded: Any) -> bool:
    """Match by the mark: the hook has selected the interaction before."""
    return MARK in request.headers and request.headers[MARK] == recorded.headers.get(MARK)


class _Memory:
    """vcrpy's persister: loads the deck. `recording` writes cassettes."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay

    def load_cassette(self, _path: str, serializer: Any) -> tuple[list[Any], list[Any]]:  # noqa: ARG002 - vcrpy's
        requests, responses = [], []
        for n, card in enumerate(self._replay.deck.cards):
            mark = {MARK: [str(n)]}
            recorded, response = card.interaction.request, card.interaction.response
            headers = {**recorded["headers"], **mark}
            requests.append(Request(recorded["method"], recorded["uri"], recorded.get("body"), headers))
            body, status = response["body"].get("string") or b"", response["status"]
            responses.append(
                {
                    "status": {"code": int(status["code"]), "message": status.get("message") or ""},
                    "headers": {**response["headers"], **mark},
                    "body": {"string": body.encode() if isinstance(body, str) else body},
                }
            )
        return requests, responses

    def save_cassette(self, _path: str, _cassette: Any, serializer: Any) -> None:
        """Do nothing: `LlmCassette.write` scans and writes, where its exception still undoes the patches."""


def _door(replay: Replay, inner: Callable[..., Any], real: Callable[..., Any], library: Any) -> Callable[..., Any]:
    @wraps(inner)
    def handle_request(self: Any, request: Any) -> Any:
        if replay.foreign(request):
            # without the lock: an application on loopback calls its LLM while it handles this request
            return real(self, request)
        # the lock makes selecting and playing one step, or two threads would play the same interaction
        with nullcontext() if replay.recording else replay.turn:
            response = inner(self, _readable(replay, request))
        if card := replay.to_verify(response):
            try:
                live = real(self, request)
                live.request = request
                live.read()
                live.close()
            except library.HTTPError as exc:
                replay.silent(card, exc)
            else:
                replay.compare(card, _whole(live))
        return replay.answer(request, response, library, asynchronous=False)

    return handle_request


def _async_door(
    replay: Replay, inner: Callable[..., Any], real: Callable[..., Any], library: Any
) -> Callable[..., Any]:
    @wraps(inner)
    async def handle_async_request(self: Any, request: Any) -> Any:
        if replay.foreign(request):
            return await real(self, request)
        response = await inner(self, _readable(replay, request))
        if card := replay.to_verify(response):
            try:
                live = await real(self, request)
                live.request = request
                await live.aread()
                await live.aclose()
            except library.HTTPError as exc:
                replay.silent(card, exc)
            else:
                replay.compare(card, _whole(live))
        return replay.answer(request, response, library, asynchronous=True)

    return handle_async_request


def _whole(answer: Any) -> LiveAnswer:
    return LiveAnswer(answer.status_code, answer.headers.get("content-type", ""), answer.content)


def _readable(replay: Replay, request: Any) -> Any:
    """Ask for an answer without compression, so that people can read the recording."""
    if replay.recording:
        request.headers["accept-encoding"] = "identity"
    return request
