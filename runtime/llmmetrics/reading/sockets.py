"""Conversations over a WebSocket: OpenAI's Realtime and Responses, Gemini Live. Each response is a call.

A row says which messages of the client start a response, and which of the server belong to one, and end it. The
messages of one response are read as the events of a stream, by a format as any other.

https://platform.openai.com/docs/guides/realtime-conversations, https://platform.openai.com/docs/guides/websocket-mode,
https://ai.google.dev/api/live.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from llmmetrics.wire import Claim, gemini, openai
from llmmetrics.wire.format import Format, Reading, counts, mapping, text
from llmmetrics.wire.framing.frames import Doc
from llmmetrics.wire.usage import Usage, usage_of


class Asks(Enum):
    """What a client's message asks for."""

    NOTHING = auto()
    RESPONSE = auto()
    MAYBE = auto()
    """The server decides when a response starts, as it does when it detects the end of speech."""


class Says(Enum):
    """What a server's message is."""

    NOTHING = auto()
    PART = auto()
    END = auto()
    """The last message of a response."""
    LAST = auto()
    """The last message of a response, but its usage may follow."""
    ERROR = auto()
    """An error outside a response: a request for one has failed, if there is one."""


class ServerMessage(NamedTuple):
    """A server's message: what it is, the id of its response, and what of it is kept to be read."""

    kind: Says
    response: str = ""
    kept: Doc | None = None


NOTHING = ServerMessage(Says.NOTHING)


class SocketFormat(NamedTuple):
    """A conversation that a WebSocket carries."""

    format: Format
    """How the messages of a response are read. Its path is that of the WebSocket."""
    asks: Callable[[Doc], Asks]
    says: Callable[[Doc], ServerMessage]
    settings: Callable[[Doc], Doc | None]
    """The settings of the conversation in a client's message, in the names of a request's body; None: no change."""
    request: Callable[[Doc], Doc]
    """The body of a request in a message that asks for a response."""
    address: Callable[[str], str] = lambda path: path
    """The path that a backend's BaseUrl is compared with."""


def socket_of(host: str, path: str) -> SocketFormat | None:
    """Return the conversation at this host and path (without its query), or None."""
    return next((each for each in SOCKETS if each.format.path.search(host + path)), None)


def claim(host: str, path: str) -> Claim | None:
    """Return the format of a conversation at this host and path, or None."""
    found = socket_of(host, path)
    return None if found is None else Claim(found.format, None, stream=True)


def asked_model(query: str) -> str | None:
    """Return the model that the query of the address asks for."""
    named = parse_qs(query)
    return next((named[name][0] for name in ("model", "deployment") if name in named), None)


# OpenAI


def _realtime_tokens(usage: Doc) -> Usage:
    """Return the buckets of a response's usage: text, audio and images have prices of their own, cached or not."""
    inward, outward = mapping(usage.get("input_token_details")), mapping(usage.get("output_token_details"))
    cached = mapping(inward.get("cached_tokens_details"))
    prompt, completion, audio, image, read, read_audio, read_image, spoken = counts(
        usage.get("input_tokens") or 0,
        usage.get("output_tokens") or 0,
        inward.get("audio_tokens") or 0,
        inward.get("image_tokens") or 0,
        inward.get("cached_tokens") or 0,
        cached.get("audio_tokens") or 0,
        cached.get("image_tokens") or 0,
        outward.get("audio_tokens") or 0,
    )
    fresh = {"input_audio": max(audio - read_audio, 0), "input_image": max(image - read_image, 0)}
    return usage_of(
        {
            **fresh,
            "cache_read": max(read - read_audio - read_image, 0),
            "cache_read_audio": read_audio,
            "cache_read_image": read_image,
            "input": max(prompt - read - sum(fresh.values()), 0),
            "output": max(completion - spoken, 0),
            "output_audio": spoken,
        }
    )


def _read_realtime(body: Doc) -> Reading:
    usage = mapping(body.get("usage"))
    known = any(usage.get(name) is not None for name in ("input_tokens", "output_tokens"))
    return Reading(text(body.get("model")), _realtime_tokens(usage) if known else None, error=body.get("error"))


def _realtime_part(event: Doc) -> Doc:
    if event.get("type") == "error":
        return {"error": event.get("error") or event}
    response = mapping(event.get("response"))
    failed = mapping(response.get("status_details")).get("error") if response.get("status") == "failed" else None
    return {"usage": response.get("usage"), "model": response.get("model"), "error": failed}


_OPENAI_ENDS = frozenset({"response.done", "response.completed", "response.failed", "response.incomplete"})


def _openai_says(event: Doc) -> ServerMessage:
    kind = event.get("type")
    if kind == "error":
        return ServerMessage(Says.ERROR, kept=event)
    if not isinstance(kind, str) or not kind.startswith("response."):
        return NOTHING
    name = mapping(event.get("response")).get("id") or event.get("response_id")
    # audio is no text, and is large
    kept = None if kind.endswith("audio.delta") else event
    return ServerMessage(Says.END if kind in _OPENAI_ENDS else Says.PART, name if isinstance(name, str) else "", kept)


def _openai_asks(message: Doc) -> Asks:
    kind = message.get("type")
    if kind == "response.create":
        return Asks.RESPONSE
    return Asks.MAYBE if kind in ("input_audio_buffer.append", "input_audio_buffer.commit") else Asks.NOTHING


def _realtime_limit(settings: Doc) -> Doc:
    """Return settings with the older name of the limit in the place of the newer one; `inf` is none."""
    limit = settings.get("max_output_tokens", settings.get("max_response_output_tokens"))
    return {**settings, "max_output_tokens": limit if isinstance(limit, int) else None}


def _session(message: Doc) -> Doc | None:
    session = message.get("session")
    if message.get("type") != "session.update" or not isinstance(session, Mapping):
        return None
    limited = _realtime_limit(session)
    return {name: value for name, value in limited.items() if value is not None}


_REALTIME = Format(
    id="openai.realtime",
    vendor="openai",
    path=re.compile(r"/realtime/?$"),
    fields=("usage", "model", "error"),
    members=("usage",),
    read=_read_realtime,
    part=_realtime_part,
    ended=lambda event: event.get("type") in ("response.done", "error"),
    always_streams=True,
    refusal=openai.refusal,
    output_limits=(("max_output_tokens",),),
    completion_names=frozenset({"delta", "transcript"}),
)

_RESPONSES = next(each for each in openai.FORMATS if each.id == "openai.responses")


# Gemini


def _live_reading(body: Doc) -> Reading:
    usage = mapping(body.get("usageMetadata"))
    named = {
        **usage,
        "candidatesTokenCount": usage.get("responseTokenCount", usage.get("candidatesTokenCount")),
        "candidatesTokensDetails": usage.get("responseTokensDetails", usage.get("candidatesTokensDetails")),
    }
    return gemini.read({**body, "usageMetadata": {name: each for name, each in named.items() if each is not None}})


def _either(message: Doc, name: str) -> Any:
    """Return a member by its name in either spelling of Google's JSON."""
    found = message.get(name)
    return message.get(re.sub(r"[A-Z]", lambda each: f"_{each[0].lower()}", name)) if found is None else found


def _live_asks(message: Doc) -> Asks:
    if _either(message, "toolResponse") is not None:
        return Asks.RESPONSE
    content = _either(message, "clientContent")
    if content is not None:
        return Asks.RESPONSE if _either(mapping(content), "turnComplete") else Asks.NOTHING
    return Asks.MAYBE if _either(message, "realtimeInput") is not None else Asks.NOTHING


def _live_says(message: Doc) -> ServerMessage:
    content, usage = mapping(message.get("serverContent")), message.get("usageMetadata")
    if content.get("turnComplete"):
        return ServerMessage(Says.END if usage else Says.LAST, kept=message)
    if any(name in content for name in ("modelTurn", "outputTranscription", "generationComplete", "interrupted")):
        # audio is no text, and is large
        spoken = any("inlineData" in mapping(part) for part in mapping(content.get("modelTurn")).get("parts") or ())
        return ServerMessage(Says.PART, kept={"usageMetadata": usage} if spoken else message)
    return ServerMessage(Says.PART, kept=message) if "toolCall" in message or usage else NOTHING


def _live_settings(message: Doc) -> Doc | None:
    setup = message.get("setup")
    if not isinstance(setup, dict):
        return None
    model = setup.get("model")
    return {**setup, "model": model.rpartition("/")[2] if isinstance(model, str) else None}


def _live_address(path: str) -> str:
    """Return the path as it would be over HTTP: `/ws/google….v1beta.GenerativeService.Bidi…` is at `/v1beta`."""
    found = _BIDI.search(path)
    return f"{path[: found.start()]}/{found['version']}/live" if found and found["version"] else path


_BIDI = re.compile(
    r"/ws/google\.(?:ai\.generativelanguage|cloud\.aiplatform)\.(?P<version>v\w+)[./]\w*Service[./]BidiGenerateContent\w*$"
    r"|/v\w+/live$"
)

_LIVE = Format(
    id="gemini.live",
    vendor="gemini",
    path=_BIDI,
    fields=("usageMetadata", "modelVersion", "error"),
    members=("serverContent", "usageMetadata", "toolCall"),
    read=_live_reading,
    ended=lambda event: bool(mapping(event.get("serverContent")).get("turnComplete")),
    always_streams=True,
    refusal=gemini.refusal,
    output_limits=(("generationConfig", "maxOutputTokens"), ("generation_config", "max_output_tokens")),
    tier_names=(("serviceTier",),),
)


SOCKETS: tuple[SocketFormat, ...] = (
    SocketFormat(
        _REALTIME,
        asks=_openai_asks,
        says=_openai_says,
        settings=_session,
        request=lambda message: _realtime_limit(mapping(message.get("response"))),
    ),
    SocketFormat(
        _RESPONSES._replace(path=re.compile(r"/responses/?$"), always_streams=True),
        asks=_openai_asks,
        says=_openai_says,
        settings=lambda _: None,
        request=lambda message: message,
    ),
    SocketFormat(
        _LIVE,
        asks=_live_asks,
        says=_live_says,
        settings=_live_settings,
        request=lambda message: message,
        address=_live_address,
    ),
)
"""All of them; the first whose path matches reads the conversation."""
