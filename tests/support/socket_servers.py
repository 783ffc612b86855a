"""A WebSocket server on loopback, in threads: each connection is handled by a function."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any

import pytest

from llmmetrics import Meter


class SocketServer:
    """What a handler sees of the clients: `paths` of the handshakes, and every message that was received."""

    def __init__(self) -> None:
        self.url = ""
        self.paths: list[str] = []
        self.messages: list[Any] = []
        self.codes: list[int | None] = []

    def asked(self, connection: Any) -> Any:
        """Wait for the next message of the client."""
        message = json.loads(connection.recv(timeout=30))
        self.messages.append(message)
        return message


@contextmanager
def socket_server(handle: Callable[[SocketServer, Any], None]) -> Iterator[SocketServer]:
    """Start a server; `handle(server, connection)` talks to one client."""
    library = pytest.importorskip("websockets.sync.server", reason="needs websockets: pip install websockets")
    closed = pytest.importorskip("websockets.exceptions").ConnectionClosed
    running = SocketServer()

    def handler(connection: Any) -> None:
        running.paths.append(connection.request.path)
        with suppress(closed):
            handle(running, connection)
            connection.recv(timeout=30)
        running.codes.append(connection.close_code)

    with library.serve(handler, "127.0.0.1", 0) as server:
        running.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield running
        server.shutdown()
        thread.join(30)


def say(connection: Any, *events: Any, binary: bool = False) -> None:
    """Send events as JSON."""
    for event in events:
        text = json.dumps(event, indent=1 if binary else None)
        connection.send(text.encode() if binary else text)


REALTIME_USAGE = {
    "total_tokens": 230,
    "input_tokens": 150,
    "output_tokens": 80,
    "input_token_details": {
        "text_tokens": 60,
        "audio_tokens": 90,
        "cached_tokens": 50,
        "cached_tokens_details": {"text_tokens": 20, "audio_tokens": 30},
    },
    "output_token_details": {"text_tokens": 25, "audio_tokens": 55},
}


def realtime_response(number: int = 1, status: str = "completed", usage: Any = REALTIME_USAGE) -> list[Any]:
    """Make the events of one response of OpenAI's Realtime API."""
    name = f"resp_{number}"
    opened = {"object": "realtime.response", "id": name, "status": "in_progress", "output": []}
    return [
        {"type": "response.created", "event_id": f"e{number}", "response": opened},
        {"type": "response.output_audio.delta", "response_id": name, "item_id": "i", "delta": "AAAA" * 50},
        {"type": "response.output_audio_transcript.delta", "response_id": name, "item_id": "i", "delta": "Hello there"},
        {"type": "response.done", "event_id": f"d{number}", "response": {**opened, "status": status, "usage": usage}},
    ]


def responses_events(model: str, number: int = 1) -> list[Any]:
    """Make the events of one response of OpenAI's Responses API."""
    opened = {"id": f"resp_{number}", "object": "response", "model": model, "status": "in_progress", "output": []}
    usage = {
        "input_tokens": 100,
        "output_tokens": 20,
        "total_tokens": 120,
        "input_tokens_details": {"cached_tokens": 40},
        "output_tokens_details": {"reasoning_tokens": 5},
    }
    return [
        {"type": "response.created", "sequence_number": 0, "response": opened},
        {
            "type": "response.output_text.delta",
            "sequence_number": 1,
            "item_id": "i",
            "output_index": 0,
            "content_index": 0,
            "delta": "Hi",
            "logprobs": [],
        },
        {
            "type": "response.completed",
            "sequence_number": 2,
            "response": {**opened, "status": "completed", "usage": usage},
        },
    ]


LIVE_USAGE = {
    "promptTokenCount": 30,
    "responseTokenCount": 12,
    "totalTokenCount": 42,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 20}, {"modality": "AUDIO", "tokenCount": 10}],
    "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 12}],
}

PRICES = {
    "CostPerMillionInputTokens": 4,
    "CostPerMillionCachedInputTokens": 1,
    "CostPerMillionAudioInputTokens": 32,
    "CostPerMillionCachedAudioInputTokens": 2,
    "CostPerMillionOutputTokens": 16,
    "CostPerMillionAudioOutputTokens": 64,
}
# 100 tokens of text, 40 of them cached; the rest is audio
REALTIME_COST = (40 * 4 + 20 * 1 + 60 * 32 + 30 * 2 + 25 * 16 + 55 * 64) / 1e6


def metered(url: str, registry: Any, *, limit: str | None = None) -> Meter:
    """Make a meter for a server, whose backends have prices for text and audio."""
    base = url.replace("ws:", "http:")
    backends = [
        {"Name": "openai", "Type": "OpenAI", "BaseUrl": f"{base}/v1", **PRICES},
        {"Name": "gemini", "Type": "Gemini", "BaseUrl": f"{base}/gemini", **PRICES},
    ]
    if limit is not None:
        for backend in backends:
            backend["MaxSpendUsd"] = limit
    return Meter.from_settings({"Backends": backends, "Budget": {"Ledger": "memory://"}}, registry=registry)


def receive_until(connection: Any, *types: str) -> None:
    """Receive messages until one has one of these types; without types, until the connection ends."""
    while json.loads(connection.recv())["type"] not in types:
        continue


def two_responses(server: SocketServer, connection: Any) -> None:
    """Answer two requests for a response."""
    say(connection, {"type": "session.created", "event_id": "s", "session": {"type": "realtime"}})
    for number in (1, 2):
        while server.asked(connection)["type"] != "response.create":
            continue
        say(connection, *realtime_response(number))
