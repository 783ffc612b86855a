"""The provider's part of a scripted WebSocket: OpenAI's Realtime and Responses.

Each `response.create` takes a reply from the script, as a stream whose events are messages here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from llmmetrics.testing import Reply, Request, UnscriptedError
from llmmetrics.testing.harness import SOCKET, Script, is_llm_host, json_of
from pytest_llmmetrics.stand_ins.websockets import Find

_OF_RESPONSES = ("response.create", "response.cancel")
"""The messages of a client that are about responses."""

_INTERNAL = 1011
_REASON = 120
"""Bytes of the reason of a close: RFC 6455 has room for 123."""


def finding(script: Script) -> Find:
    """Return a function that finds the peer for an address, which takes its replies from the script."""

    def find(url: str) -> ScriptedPeer | None:
        parts = urlsplit(url)
        is_ours = is_llm_host(parts.hostname or "", parts.port)
        return ScriptedPeer(url, script) if is_ours and parts.path.endswith(("/realtime", "/responses")) else None

    return find


class ScriptedPeer:
    """One scripted WebSocket."""

    def __init__(self, url: str, script: Script) -> None:
        parts = urlsplit(url)
        self._host = parts.netloc
        self._path = parts.path
        self._model = next(iter(parse_qs(parts.query).get("model", ())), None)
        self._is_realtime = parts.path.endswith("/realtime")
        self._script = script

    def accept(self, _connection: Any, _request: Any) -> None:
        """Accept every handshake: a fault belongs to a response."""

    def talk(self, connection: Any) -> None:
        if self._is_realtime:
            _say(connection, {"type": "session.created", "session": {"type": "realtime", "model": self._model}})
        is_open = True
        while is_open:
            try:
                asked = self._asked(json_of(connection.recv()))
                is_open = asked is None or self._respond(connection, self._script.answer(asked))
            except AssertionError as exc:
                connection.close(_INTERNAL, str(exc).encode()[:_REASON].decode(errors="ignore"))
                return

    def _asked(self, message: Any) -> Request | None:
        """Return the request in a message; None if it asks for no response. Raises `UnscriptedError` for nonsense."""
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise self._misunderstood("a message of the client is no JSON object with a `type`")
        if message["type"].startswith("response.") and message["type"] not in _OF_RESPONSES:
            # misspelt, as like as not: the client would wait for an answer that does not come
            raise self._misunderstood(f"the type {message['type']!r:.60} is unknown, use {' or '.join(_OF_RESPONSES)}")
        if message["type"] != "response.create":
            # the session's settings, audio, texts of the conversation
            return None
        asked = message.get("response") or {} if self._is_realtime else message
        if not isinstance(asked, dict):
            raise self._misunderstood(f"`response` should be an object, not {type(asked).__name__}")
        fields = {name: each for name, each in asked.items() if name != "type"}
        body = {"model": self._model, "input": fields.pop("instructions", ""), **fields, "stream": True}
        return Request(
            SOCKET, self._path, "", {"content-type": "application/json"}, json.dumps(body).encode(), self._host
        )

    def _misunderstood(self, why: str) -> UnscriptedError:
        return UnscriptedError(self._script.note(f"{SOCKET} {self._host}{self._path}: {why}"))

    def _respond(self, connection: Any, reply: Reply) -> bool:
        """Send the events of a reply; return whether the WebSocket goes on."""
        if not reply.raises:
            for event in _events(reply) if reply.status < 400 else (self._error(reply),):
                _say(connection, event)
        is_lost = bool(reply.raises) or reply.cut_after is not None
        if is_lost:
            # without a close frame, as a connection that is lost
            connection.close_socket()
        return not is_lost

    def _error(self, reply: Reply) -> dict[str, Any]:
        status = {} if self._is_realtime else {"status": reply.status}
        return {"type": "error", **status, "error": json_of(b"".join(reply.chunks))["error"]}


def _events(reply: Reply) -> Iterator[dict[str, Any]]:
    for line in b"".join(reply.passing).splitlines():
        if line.startswith(b"data:"):
            yield json_of(line[5:])


def _say(connection: Any, event: Mapping[str, Any]) -> None:
    connection.send(json.dumps(event))
