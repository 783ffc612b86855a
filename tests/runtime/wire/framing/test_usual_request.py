"""What a request asks for is read by a fast path where it can be, which says what parsing says."""

from __future__ import annotations

import json

import pytest

from llmmetrics.wire import asked as asked_of
from llmmetrics.wire import claim
from llmmetrics.wire.framing.usual_request import usual_request

MESSAGES = [{"role": "user", "content": 'say "model":"x", or ,"stream":true}'}]
CLAIM = claim("POST", "api.openai.com", "/v1/chat/completions")

QUICK = [
    {"model": "m-1", "messages": MESSAGES},
    {"model": "m-1", "messages": MESSAGES, "stream": True},
    {"model": "m-1", "stream": True, "messages": MESSAGES, "stream_options": {"include_usage": True}},
    {"messages": MESSAGES, "model": "m-1", "stream": True},
    {"messages": MESSAGES, "model": "m-1", "stream": True, "stream_options": {"include_usage": True}},
    {"max_tokens": 5, "messages": MESSAGES, "model": "m-1"},
    {"model": "é", "messages": MESSAGES},
    {"model": "m-1", "tools": [{"model": "other"}], "stream": True},
    {"max_tokens": 5, "messages": MESSAGES, "model": "m-1", "stream": True, "temperature": 1},
    {"messages": MESSAGES, "model": "m-1", "stream": False},
    {"messages": [{"input": {"brand": "b", "model": "other"}}], "model": "m-1"},
    {"messages": MESSAGES, "model": 'm"1', "tools": [{"model": "other"}]},
]
SLOW = [
    {"model": "m-1", "stream": False, "messages": MESSAGES},
    {"model": "m-1", "messages": MESSAGES, "stream": True, "user": "u"},
    {"model": "m-1", "messages": MESSAGES, "metadata": {"stream": True}},
    {"model": "m-1", "messages": MESSAGES, "metadata": {"a": 1, "stream": True}},
    {"model": "m-1", "stream": True, "metadata": {"stream": False}},
    # the only model is that of an inner object
    {"prompt": {"id": "p"}, "tools": [{"type": "image_generation", "model": "other"}]},
    {"tools": [{"type": "image_generation", "model": "other", "size": "1"}], "input": "x"},
    {"assistant_id": "a", "metadata": {"car": "Fiat", "model": "Punto"}},
    {"messages": [{"input": {"make": "VW", "model": "Golf"}}], "model": None},
    {"stream": True, "messages": MESSAGES, "model": "m-1"},
    {"messages": [{"stream": 1}], "model": "m-1"},
    {"messages": MESSAGES, "model": None},
    {"messages": MESSAGES, "model": ""},
    {"model": "", "messages": MESSAGES},
    {"messages": MESSAGES},
    {"stream": True},
    {},
]


def compact(fields):
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize(("fields", "usual"), [*((each, True) for each in QUICK), *((each, False) for each in SLOW)])
def test_both_ways_say_the_same(fields, usual):
    parsed = (fields.get("model") or None, fields.get("stream") is True)
    assert usual_request(compact(fields)) == (parsed if usual else None)
    assert asked_of(CLAIM, compact(fields)) == parsed


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"model":"', b'x,"model":"m"', b'{"a":1,"model":"mm', b'["a",{"b":1,"model":"m"}]', b"\xff"]
)
def test_what_is_no_request_is_no_error(body):
    assert usual_request(body) is None
    assert asked_of(CLAIM, body) == (None, False)


def test_a_body_with_spaces_is_parsed():
    fields = {"messages": [{"input": {"a": 1, "model": "other"}}], "model": "m-1", "stream": True}
    body = json.dumps(fields).encode()
    assert usual_request(body) is None
    assert asked_of(CLAIM, body) == ("m-1", True)
