"""Notices answers that vcrpy replays for another request than the one that was recorded.

vcrpy matches on method and URL unless it is told otherwise: a prompt may change and its old answer, with its old
usage, still be replayed. What such a test costs is not known.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from llmmetrics import read_exchange


class Watch:
    """Compares what was sent with what was recorded, whenever a cassette plays."""

    def __init__(self, stale: Callable[[str], None]) -> None:
        self._stale = stale
        self._undo: Callable[[], None] | None = None

    def look(self) -> None:
        """Begin as soon as vcrpy is there; importing it is up to the tests."""
        if self._undo is None and (module := sys.modules.get("vcr.cassette")) is not None:
            cassette = getattr(module, "Cassette", None)
            if cassette is not None:
                self._patch(cassette)

    def stop(self) -> None:
        """Undo it."""
        if self._undo is not None:
            self._undo()
            self._undo = None

    def _patch(self, cassette: Any) -> None:
        original = cassette.play_response
        watch = self

        @wraps(original)
        def play_response(self: Any, request: Any) -> Any:
            response = original(self, request)
            try:
                watch.compare(self, request, response)
            except Exception:
                # a cassette class of another making: nothing is said of its requests
                return response
            return response

        cassette.play_response = play_response
        self._undo = lambda: setattr(cassette, "play_response", original)

    def compare(self, cassette: Any, request: Any, response: Any) -> None:
        """Say what differs between a request and the one that this response was recorded for."""
        recorded = next((asked for asked, answer in cassette.data if answer is response), None)
        if recorded is None or recorded.body == request.body:
            # the common case first
            return
        ours = sys.modules.get("pytest_llmmetrics.cassettes.replay")
        if ours is not None and ours.MARK in recorded.headers:
            # what llm_cassette plays it has matched by meaning, or its cassette says what it stands for
            return
        old = _json(recorded.body)
        if old is None or old == _json(request.body):
            return
        # what the user's own filters leave out is no difference
        sent = cassette.filter_request(request)
        new = _json(sent.body) if sent else None
        if new is not None and old != new and _is_call(request):
            self._stale(difference(old, new))


def _json(body: Any) -> Any:
    """The body's meaning; None for one that is no JSON object."""
    if isinstance(body, str):
        body = body.encode()
    if not isinstance(body, bytes) or body[:1] != b"{":
        return None
    try:
        return json.loads(body)
    except ValueError:
        return None


def difference(old: Any, new: Any, where: str = "") -> str:
    """The first place in which two JSON values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key):
                return difference(old.get(key), new.get(key), f"{where}.{key}" if where else key)
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for n, (a, b) in enumerate(zip(old, new, strict=True)):
            if a != b:
                return difference(a, b, f"{where}[{n}]")
    return where or "the body"


def _is_call(request: Any) -> bool:
    """Whether a recorded request is a call of an LLM."""
    asked = read_exchange(
        method=request.method,
        url=request.uri,
        request_headers=(),
        request_body=b"",
        status=500,
        response_headers=(),
        response_body=b"",
    )
    return asked.api is not None
