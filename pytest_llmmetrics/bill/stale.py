"""Detects answers that vcrpy replays for a different request than the recorded one.

By default, vcrpy matches on method and URL: when a prompt changes, it still replays the old answer, with the old
usage. The cost of such a test is not known.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from llmmetrics import read_exchange
from llmmetrics.testing.harness import json_of


class Watch:
    """Compares each replayed request with the recorded one."""

    def __init__(self, stale: Callable[[str], None]) -> None:
        self._stale = stale
        self._undo: Callable[[], None] | None = None

    def look(self) -> None:
        """Patch vcrpy once the tests have imported it."""
        if self._undo is None and (module := sys.modules.get("vcr.cassette")) is not None:
            cassette = getattr(module, "Cassette", None)
            if cassette is not None:
                self._patch(cassette)

    def stop(self) -> None:
        """Undo the patch."""
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
                # an unknown cassette class: its requests are not compared
                return response
            return response

        cassette.play_response = play_response
        self._undo = lambda: setattr(cassette, "play_response", original)

    def compare(self, cassette: Any, request: Any, response: Any) -> None:
        """Report the difference between a request and the recorded request of this response."""
        recorded = next((asked for asked, answer in cassette.data if answer is response), None)
        if recorded is None or recorded.body == request.body:
            # the common case first
            return
        ours = sys.modules.get("pytest_llmmetrics.cassettes.replay")
        if ours is not None and ours.MARK in recorded.headers:
            # llm_cassette has matched the request itself
            return
        old = _json(recorded.body)
        if old is None or old == _json(request.body):
            return
        # the user's filters apply first: what they remove is not a difference
        sent = cassette.filter_request(request)
        new = _json(sent.body) if sent else None
        if new is not None and old != new and _is_call(request):
            self._stale(difference(old, new))


def _json(body: Any) -> Any:
    """Parse a body; None: not a JSON object. vcrpy keeps the object that aiohttp makes a body of."""
    if isinstance(body, dict):
        return body
    if isinstance(body, str):
        body = body.encode()
    return json_of(body) if isinstance(body, bytes) and body[:1] == b"{" else None


def difference(old: Any, new: Any, where: str = "") -> str:
    """Return the path of the first difference of two JSON values."""
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
    """Tell whether a recorded request is an LLM call."""
    exchange = read_exchange(
        method=request.method,
        url=request.uri,
        request_headers=(),
        request_body=b"",
        status=500,
        response_headers=(),
        response_body=b"",
    )
    return exchange.api is not None
