"""The provider's part of a scripted WebSocket: OpenAI's Realtime and Responses.

Each `response.create` takes a reply from the script, as a stream of the Responses API over HTTP. Over a WebSocket its
events are messages; Realtime has a few other names for them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from llmmetrics.testing import Reply, Request
from llmmetrics.testing.harness import is_llm_host, json_of
from pytest_llmmetrics.stand_ins.websockets import Find

_PATH = "/v1/responses"
_INTERNAL = 1011


def finding(answer: Callable[[Request], Reply]) -> Find:
    """Return a function that finds the peer for an address, which takes its replies from `answer`."""

    def find(url: str) -> ScriptedPeer | None:
        parts = urlsplit(url)
        is_ours = is_llm_host(parts.hostname or "", parts.port)
        return ScriptedPeer(url, answer) if is_ours and parts.path.endswith(("/realtime", "/responses")) else None

    return find


class ScriptedPeer:
    """One scripted WebSocket."""

    def __init__(self, url: str, answer: Callable[[Request], Reply]) -> None:
        parts = urlsplit(url)
        self._host = parts.netloc
        self._model = next(iter(parse_qs(parts.query).get("model", ())), None)
        self._is_realtime = parts.path.endswith("/realtime")
        self._answer = answer

    def accept(self, _connection: Any, _request: Any) -> None:
        """Accept every handshake: a fault belongs to a response."""

    def talk(self, connection: Any) -> None:
        if self._is_realtime:
            _say(connection, {"type": "session.created", "session": {"type": "realtime", "model": self._model}})
        while True:
            message = json_of(connection.recv())
            if not isinstance(message, dict) or message.get("type") != "response.create":
                # the session's settings, audio, texts of the conversation
                continue
            try:
                reply = self._answer(self._request(message))
            except AssertionError as exc:
                connection.close(_INTERNAL, str(exc)[:120])
                return
            if not self._respond(connection, reply):
                return

    def _request(self, message: Mapping[str, Any]) -> Request:
        asked = message.get("response") if self._is_realtime else message
        fields = {name: each for name, each in (asked or {}).items() if name != "type"}
        body = {"model": self._model, "input": fields.pop("instructions", ""), **fields, "stream": True}
        return Request("POST", _PATH, "", {"content-type": "application/json"}, json.dumps(body).encode(), self._host)

    def _respond(self, connection: Any, reply: Reply) -> bool:
        """Send the events of a reply; return whether the WebSocket goes on."""
        if not reply.raises and reply.status < 400:
            for event in _events(reply):
                _say(connection, _as_realtime(event) if self._is_realtime else event)
        elif not reply.raises:
            _say(connection, _error(reply))
        if reply.stall_after is not None:
            connection.recv()
        is_lost = bool(reply.raises) or reply.cut_after is not None
        if is_lost:
            # without a close frame, as a connection that is lost
            connection.close_socket()
        return not is_lost


def _events(reply: Reply) -> Iterator[dict[str, Any]]:
    for line in b"".join(reply.passing).splitlines():
        if line.startswith(b"data:") and isinstance(event := json_of(line[5:]), dict):
            yield event


def _error(reply: Reply) -> dict[str, Any]:
    document = json_of(b"".join(reply.chunks))
    error = document.get("error") if isinstance(document, dict) else None
    return {"type": "error", "status": reply.status, "error": error or {"type": "server_error", "message": "error"}}


def _as_realtime(event: dict[str, Any]) -> dict[str, Any]:
    response = event.get("response")
    if not isinstance(response, dict):
        return event
    usage = response.get("usage") or {}
    counts: dict[str, Any] = {
        name: usage[name] for name in ("input_tokens", "output_tokens", "total_tokens") if name in usage
    }
    cached = (usage.get("input_tokens_details") or {}).get("cached_tokens", 0)
    if counts:
        counts["input_token_details"] = {"text_tokens": counts.get("input_tokens"), "cached_tokens": cached}
        counts["output_token_details"] = {"text_tokens": counts.get("output_tokens")}
    ended = event["type"] in ("response.completed", "response.failed", "response.incomplete")
    kept = {"id": response.get("id"), "status": response.get("status"), "status_details": response.get("error")}
    made: dict[str, Any] = {"object": "realtime.response", "output": [], **kept, "usage": counts or None}
    return {"type": "response.done" if ended else event["type"], "response": made}


def _say(connection: Any, event: Mapping[str, Any]) -> None:
    connection.send(json.dumps(event))
