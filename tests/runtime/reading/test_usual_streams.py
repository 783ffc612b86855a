"""The usual end of a stream is read by a fast path, which says the same as the slow one, or leaves it to it."""

from __future__ import annotations

import json

import pytest

from llmmetrics import wire
from llmmetrics.reading import outcome
from llmmetrics.reading.endings import End
from llmmetrics.wire.framing.body_buffer import BYTE_ORDER_MARK, HELD, BodyBuffer

CHAT = wire.claim("POST", "api.openai.com", "/v1/chat/completions").format
USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}


def event(doc):
    return b"data: " + json.dumps(doc, separators=(",", ":")).encode() + b"\n\n"


def chunk(text="Hi", **fields):
    return event({"model": "m-1", "choices": [{"index": 0, "delta": {"content": text}}], **fields})


STOP = event({"model": "m-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": None})
LAST = event({"model": "m-1", "choices": [], "usage": USAGE})
DONE = b"data: [DONE]\n\n"

USUAL = {
    "usage alone": [chunk(usage=None), STOP, LAST, DONE],
    "usage in the last chunk": [chunk(), chunk("", usage=USAGE), DONE],
    "usage under a name of its own": [chunk(), event({"model": "m-1", "x_groq": {"usage": USAGE}}), DONE],
    "a tier": [chunk(), event({"model": "m-1", "usage": USAGE, "service_tier": "flex"}), DONE],
    "all in one piece": [chunk() + STOP + LAST + DONE],
    "cut inside the last event": [chunk() + STOP + LAST[:20], LAST[20:] + DONE],
    "a byte order mark": [BYTE_ORDER_MARK + chunk(), STOP, LAST, DONE],
    "too long to hold": [chunk("x" * 1000)] * (2 * HELD // 1000) + [LAST, DONE],
}
OTHER = {
    "no usage": [chunk(), STOP, DONE],
    "no model at the end": [chunk(), event({"usage": USAGE}), DONE],
    "an error on the way": [chunk(), event({"error": {"message": "overloaded"}}), LAST, DONE],
    "an error in the last event": [chunk(), event({"model": "m-1", "usage": USAGE, "error": "cut"}), DONE],
    "a text about an error": [chunk("an error"), LAST, DONE],
    "data in two lines": [chunk(), LAST[:-1] + DONE],
    "an id after the data": [chunk(), LAST[:-1] + b"id: 7\n\n" + DONE],
    "a comment before the end": [chunk(), LAST, b": done\n\n", DONE],
    "an event's name": [chunk(), b"event: usage\n" + LAST, DONE],
    "other line ends": [b"".join([chunk(), LAST, DONE]).replace(b"\n", b"\r\n")],
    "no end": [chunk(), LAST],
    "the end alone": [DONE],
    "one event": [LAST, DONE],
    "an impossible count": [chunk(), event({"model": "m-1", "usage": {**USAGE, "prompt_tokens": -1}}), DONE],
    "no JSON": [chunk(), b"data: {usage\n\n", DONE],
    "a list": [chunk(), event([1]), DONE],
    "nothing used": [chunk(), event({"model": "m-1", "usage": dict.fromkeys(USAGE, 0)}), DONE],
    "the end in the text": [chunk(), LAST, b"data: [DONE]\n\n\ndata: [DONE]\n\n"],
}


def read(chunks, end, format=CHAT, exception=None):
    buffer = BodyBuffer()
    for each in chunks:
        buffer.feed(each)
    return outcome.outcome_of(format, 200, buffer, b"{}", end, exception, "m-1")


@pytest.fixture
def plain_by_both_ways(monkeypatch):
    """Whether a stream is read by the fast path, after the slow one has said the same."""

    def both(chunks, end, format=CHAT):
        quick = vars(read(chunks, end, format))
        with monkeypatch.context() as patch:
            patch.setattr(outcome, "_plain_success", lambda *_: None)
            slow = vars(read(chunks, end, format))
        plain = quick.pop("plain", False)
        assert {key: each for key, each in quick.items() if each} == {key: each for key, each in slow.items() if each}
        return plain

    return both


@pytest.mark.parametrize("end", [End.EXHAUSTED, End.CLOSED, End.DROPPED])
@pytest.mark.parametrize("name", [*USUAL, *OTHER])
def test_both_ways_say_the_same(name, end, plain_by_both_ways):
    assert plain_by_both_ways({**USUAL, **OTHER}[name], end) is (name in USUAL)


@pytest.mark.parametrize("format", [format for format in wire.FORMATS if not format.ended(wire.DONE)])
@pytest.mark.parametrize("end", [End.EXHAUSTED, End.CLOSED])
def test_formats_that_end_otherwise_are_read_in_the_slow_way(format, end, plain_by_both_ways):
    said = {**USAGE, "input_tokens": 12, "output_tokens": 5}
    chunks = [event({"type": "start"}), event({"model": "m-1", "usage": said}), DONE]
    assert plain_by_both_ways(chunks, end, format) is False


@pytest.mark.parametrize("name", [*USUAL, "other line ends", "no end", "an event's name"])
def test_a_format_of_the_users_is_never_given_an_empty_document(name, plain_by_both_ways):
    own = CHAT._replace(fields=list(CHAT.fields), read=lambda body: CHAT.read({**body, "usage": body["usage"]}))
    assert plain_by_both_ways({**USUAL, **OTHER}[name], End.EXHAUSTED, own) is (name in USUAL)


@pytest.mark.parametrize("size", [10, HELD])
def test_a_byte_order_mark_before_json_is_none_of_it(size):
    body = json.dumps({"model": "m-1", "choices": [{"message": {"content": "x" * size}}], "usage": USAGE})
    out = read([BYTE_ORDER_MARK + body.encode()], End.EXHAUSTED)
    assert (out.error, out.known, out.usage and out.usage.total) == (None, True, 17)


@pytest.mark.parametrize("name", USUAL)
def test_a_stream_that_fails_is_no_success(name):
    assert read(USUAL[name], End.RAISED, exception=KeyboardInterrupt()).status == "cancelled"
