"""Bytes to documents: Server-Sent Events, JSON lines, JSON, and pieces of each."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmmetrics.wire.framing.body_buffer import HEAD, TAIL, Body, keep
from llmmetrics.wire.framing.frames import (
    DONE,
    first_events,
    is_ndjson,
    is_spoilt,
    is_sse,
    last_events,
    salvage,
    torn_json,
)


def backward(data: bytes) -> list:
    return list(last_events(keep(data))[0])


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_events_come_from_the_last_back(newline):
    lines = [": a comment", "", "event: x", 'data: {"n": 1}', "", 'data: {"n":', "data: 2}", "", "data: [DONE]", "", ""]
    assert backward(newline.join(lines).encode()) == [DONE, {"n": 2}, {"n": 1}]


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ('event: error\ndata: {"error": {"code": "x"}}', {"code": "x"}),
        ('event: error\ndata: {"type": "error", "error": {"type": "x"}}', {"type": "x"}),
        ('event: error\ndata: {"message": "no"}', {"message": "no"}),
        ('error: {"code": "x"}', {"code": "x"}),
        ("event: error\ndata: plain words", "plain words"),
    ],
)
def test_an_error_event_is_an_error_whatever_its_shape(event, error):
    (doc,) = backward(event.encode() + b"\n\n")
    assert doc["error"] == error


def test_the_unterminated_last_event_is_read_if_it_can_be():
    assert backward(b'data: {"n": 1}\n\ndata: {"n": 2}') == [{"n": 2}, {"n": 1}]
    assert backward(b'data: {"n": 1}\n\ndata: {"n": ') == [{"n": 1}]


def test_json_lines():
    assert is_ndjson(b'{"n": 1}\n{"n": 2}\n')
    assert not is_ndjson(b'{\n "n": 1\n}')
    assert backward(b'{"n": 1}\n{"n": 2}\n') == [{"n": 2}, {"n": 1}]


@pytest.mark.parametrize("start", [b"data: {}", b"event: x\n", b": comment", b"\n\ndata:{}", b"id: 1\n"])
def test_sse_is_known_by_its_start(start):
    assert is_sse(start)
    assert not is_sse(b'{"data": 1}')


def test_a_long_stream_keeps_its_first_and_last_events():
    events = [b'data: {"n": %d, "pad": "%s"}\n\n' % (n, b"x" * 500) for n in range(1000)]
    body = keep(b"".join(events))
    assert [doc["n"] for doc in first_events(body)] == [0, 1, 2]
    documents, torn = last_events(body)
    numbers = [doc["n"] for doc in documents]
    assert numbers == list(range(999, 999 - len(numbers), -1))
    assert len(numbers) > 100
    assert torn


@pytest.mark.parametrize(
    ("text", "spoilt"),
    [
        (b'data: {"n": 1}\n\n', False),
        (b'data: {"n": 1}\n\ndata: {"n"', False),
        (b'data: {"n"\n\n', True),
        (b'data: {"n": 1}\n\nevent: x\ndata: {"n"\n\n', True),
        (b'data: {"n"\n\ndata: {"n": 1}\n\n', False),
        (b"data: [DONE]\n\n", False),
        (b'data: {"n": 1}\n\n: comment\n\n', False),
        (b"", False),
        (b'{"n": 1}\n', False),
        (b'{"n": 1}\n{"n"\n', True),
        (b'{"n"', False),
        (b'{\n "n"\n', False),
        (b"<html>\n", False),
    ],
)
def test_a_whole_event_that_is_no_json_spoils_a_stream(text, spoilt):
    assert is_spoilt(keep(text)) is spoilt


def test_salvage_takes_the_last_key_that_is_one():
    text = rb'...\"usage\": {\"prompt_tokens\": 9}", "usage": {"prompt_tokens": 1}, "usage": {"prompt_tokens": 2}, "m'
    assert salvage(text, ("usage", "model")) == {"usage": {"prompt_tokens": 2}}


def test_nesting_without_end_is_no_value():
    assert salvage(b'"usage": ' + b'{"a":' * 100_000, ("usage",)) == {}


def test_torn_json_gives_what_is_complete():
    assert torn_json(b'[{"a": 1}, {"a": 2, "b') == [{"a": 1}, {"a": 2}]
    assert torn_json(b'{"a": 1, "text": "unfin') == [{"a": 1}]
    assert torn_json(b"<html>") == []


@given(st.binary(max_size=2000))
def test_any_bytes_are_read_without_harm(data):
    for body in (keep(data), Body(data[:HEAD], data[-TAIL:], len(data) + 10)):
        list(last_events(body)[0])
        first_events(body)
    salvage(data, ("usage",))
    torn_json(data)


@given(st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9)), max_size=20))
def test_what_is_written_is_read(documents):
    text = "".join(f"data: {json.dumps(doc)}\n\n" for doc in documents).encode()
    if documents:
        assert backward(text) == documents[::-1]
