"""The injected request for a stream's usage: added once, and its event hidden however the stream is split."""

from __future__ import annotations

import json

import pytest

from llmmetrics.reading.stream_usage import LONGEST, Hider, asking


def event(doc, end=b"\n\n"):
    return b"data: " + json.dumps(doc, separators=(",", ":")).encode() + end


CHUNK = {"id": "1", "choices": [{"index": 0, "delta": {"content": 'say ,"usage":null'}}]}
USAGE = {"id": "1", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
FILTER = {"id": "", "choices": [], "prompt_filter_results": []}
DONE = b"data: [DONE]"


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
def test_what_was_not_asked_for_is_hidden_at_every_split(end):
    asked = [FILTER, CHUNK, {**CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
    comment = b": PROCESSING" + end
    would_be = comment + b"".join(event(each, end) for each in asked) + DONE + end
    stream = comment + b"".join(event({**each, "usage": None}, end) for each in asked) + event(USAGE, end) + DONE + end
    for at in range(len(stream) + 1):
        hider = Hider()
        assert hider.feed(stream[:at]) + hider.feed(stream[at:]) + hider.rest() == would_be
    hider = Hider()
    assert b"".join(hider.feed(stream[n : n + 1]) for n in range(len(stream))) + hider.rest() == would_be


def test_an_event_passes_as_soon_as_it_is_whole():
    hider = Hider()
    assert hider.feed(event(CHUNK)) == event(CHUNK)
    assert hider.feed(b"data: {") == b""
    assert hider.rest() == b"data: {"


@pytest.mark.parametrize(
    "passes",
    [
        {**CHUNK, "usage": {"prompt_tokens": 1}},
        {"choices": [], "usage": [1]},
        {"error": {"message": "usage"}, "choices": []},
        ["usage"],
        "usage",
    ],
)
def test_what_is_no_chunk_of_usage_alone_passes(passes):
    assert Hider().feed(event(passes)) == event(passes)


def test_an_endless_event_is_not_held():
    hider = Hider()
    assert hider.feed(b"x" * LONGEST) == b""
    assert hider.feed(b"x") == b"x" * (LONGEST + 1)
    assert hider.rest() == b""


@pytest.mark.parametrize(
    ("request_", "options"),
    [
        ({"model": "m", "stream": True}, {"include_usage": True}),
        ({"stream_options": None}, {"include_usage": True}),
        (
            {"stream_options": {"include_obfuscation": False, "include_usage": False}},
            {"include_obfuscation": False, "include_usage": True},
        ),
    ],
)
def test_a_request_that_does_not_ask_is_made_to(request_, options):
    made = asking(json.dumps({"messages": ["\ud83d", 0.1], **request_}).encode())
    assert json.loads(made) == {"messages": ["\ud83d", 0.1], **request_, "stream_options": options}


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"stream_options":{"include_usage":true}}', b"\xff"])
def test_what_asks_or_cannot_is_left_alone(body):
    assert asking(body) is None
