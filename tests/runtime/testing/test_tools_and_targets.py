"""Answers that ask for a tool, and what a request is aimed at."""

from __future__ import annotations

import json

import pytest

from llmmetrics.testing import Answer, CannotExpressError, Request, ToolCall, reply
from llmmetrics.testing.harness import target_of

WEATHER = Answer("Looking it up.", tool=ToolCall("get_weather", {"city": "Oslo"}))
AS_TEXT = {"name": "get_weather", "arguments": '{"city": "Oslo"}'}

# path, where the tool is, what it is, why the answer ends
SHAPES = {
    "chat": ("/v1/chat/completions", ("choices", 0, "message", "tool_calls", 0, "function"), AS_TEXT),
    "chat why": ("/v1/chat/completions", ("choices", 0, "finish_reason"), "tool_calls"),
    "chat words": ("/v1/chat/completions", ("choices", 0, "message", "content"), None),
    "responses": ("/v1/responses", ("output", 0, "arguments"), '{"city": "Oslo"}'),
    "anthropic": ("/v1/messages", ("content", 0, "input"), {"city": "Oslo"}),
    "anthropic why": ("/v1/messages", ("stop_reason",), "tool_use"),
    "gemini": (
        *("/v1beta/models/m:generateContent", ("candidates", 0, "content", "parts", 0, "functionCall")),
        {"name": "get_weather", "args": {"city": "Oslo"}},
    ),
    "cohere": ("/v2/chat", ("message", "tool_calls", 0, "function"), AS_TEXT),
    "cohere why": ("/v2/chat", ("finish_reason",), "TOOL_CALL"),
    "cohere plan": ("/v2/chat", ("message", "tool_plan"), "Looking it up."),
    "ollama": ("/api/chat", ("message", "tool_calls", 0, "function", "arguments"), {"city": "Oslo"}),
}


def request(path, **fields):
    return Request("POST", path, body=json.dumps({"model": "m", "stream": False, **fields}).encode())


@pytest.mark.parametrize(("path", "where", "what"), SHAPES.values(), ids=SHAPES)
def test_a_tool_in_each_shape(path, where, what):
    value = json.loads(reply(request(path), WEATHER).chunks[0])
    for key in where:
        value = value[key]
    assert value == what


def test_a_stream_asks_for_no_tool():
    with pytest.raises(CannotExpressError, match="'get_weather' can only be asked for in a whole answer"):
        reply(request("/v1/chat/completions", stream=True), WEATHER)


TARGETS = {
    "chat": (
        "https://api.openai.com/v1/chat/completions",
        ("api.openai.com", "openai", "openai.chat", "openai", "m", False),
    ),
    "streamed": (
        "https://generativelanguage.googleapis.com/v1beta/models/g:streamGenerateContent?alt=sse",
        ("generativelanguage.googleapis.com", "google", "gemini.generate", "gemini", "g", True),
    ),
    "gateway": ("http://gw:81/x/v1/messages", ("gw:81", None, "anthropic.messages", "anthropic", "m", False)),
    "no call": ("https://api.openai.com/v1/files", ("api.openai.com", "openai", None, None, None, False)),
}


@pytest.mark.parametrize(("url", "expected"), TARGETS.values(), ids=TARGETS)
def test_what_a_request_is_aimed_at(url, expected):
    target = target_of("POST", url, b'{"model": "m"}')
    assert (target.host, target.provider, target.api, target.vendor, target.model, target.stream) == expected
