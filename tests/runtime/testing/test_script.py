"""Scripted replies: in order, strict both ways."""

from __future__ import annotations

import json

import pytest

from llmmetrics import wire
from llmmetrics.testing import CannotExpressError, Request, UnscriptedError, faults
from llmmetrics.testing.harness import Script
from llmmetrics.testing.messages.conversation import conversation

CHAT = "/v1/chat/completions"


def request(model="m", path=CHAT, **fields):
    return Request("POST", path, "", {}, json.dumps({"model": model, **fields}).encode(), "api.openai.com")


def said(reply):
    return json.loads(b"".join(reply.chunks))["choices"][0]["message"]["content"]


@pytest.fixture
def script():
    return Script()


def test_each_reply_is_for_one_request_in_order(script):
    script.reply("one", prompt_tokens=7).then.replies("two", "three").then.fail(faults.RATE_LIMIT).then.reply("four")
    assert [said(script.answer(request())) for _ in range(3)] == ["one", "two", "three"]
    assert script.answer(request()).status == 429
    assert [str(each) for each in script.unused] == ["reply('four')"]
    assert len(script.requests) == 4


def test_a_reply_for_a_model_waits_for_it(script):
    script.reply("for b", for_model="b").reply("for any")
    assert said(script.answer(request("a"))) == "for any"
    assert said(script.answer(request("b"))) == "for b"


def test_what_is_not_scripted_is_an_error_and_a_problem(script):
    for _ in range(2):
        with pytest.raises(
            UnscriptedError, match=r"POST api.openai.com/v1/chat/completions .model m. was not scripted"
        ):
            script.answer(request())
    assert len(script.problems) == 1
    assert len(script.requests) == 2


def test_what_is_no_call_is_answered_beside_the_script(script):
    assert script.answer(Request("GET", "/v1/models")).status == 200
    assert script.requests == []


def test_pieces_are_the_events_of_a_stream(script):
    script.stream(["a", "b"])
    events = script.answer(request(stream=True)).chunks
    assert [b'"content": "a"' in each for each in events].count(True) == 1
    script.stream(["a", "b"])
    assert said(script.answer(request())) == "ab"


def test_a_fault_that_the_format_has_no_words_for(script):
    script.fail(faults.CONTENT_FILTERED)
    with pytest.raises(CannotExpressError, match="does not exist in ollama's format: exclude it"):
        script.answer(Request("POST", "/api/chat"))
    assert script.problems


def test_a_server_cannot_show_what_happens_before_a_connection():
    with pytest.raises(CannotExpressError, match="no server can show it: use llm_provider"):
        Script(served=True).fail(faults.DNS)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda script: script.reply("x", prompt_token=1), "no field prompt_token: did you mean prompt_tokens"),
        (lambda script: script.reply("x", zzz=1), "no field zzz: use one of text, "),
        (lambda script: script.fail("rate_limit"), "pass a fault of pytest_llmmetrics.faults, such as RATE_LIMIT"),
    ],
)
def test_a_wrong_argument_is_told_at_once(script, call, message):
    with pytest.raises(TypeError, match=message):
        call(script)


@pytest.mark.parametrize(
    "fields",
    [
        {
            "messages": [
                {"role": "system", "content": "S"},
                {"role": "user", "content": [{"type": "text", "text": "U"}]},
            ]
        },
        {"system": [{"type": "text", "text": "S"}], "messages": [{"role": "user", "content": "U"}]},
        {"instructions": "S", "input": "U"},
        {"instructions": "S", "input": [{"role": "user", "content": [{"type": "input_text", "text": "U"}]}]},
        {"systemInstruction": {"parts": [{"text": "S"}]}, "contents": [{"role": "user", "parts": [{"text": "U"}]}]},
        {"system": "S", "prompt": "U"},
    ],
)
def test_a_conversation_reads_alike_in_every_format(fields):
    assert conversation(fields, wire.prompt_names(None)) == [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "U"},
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"system": [], "messages": [{"role": "user", "content": [{"text": "U"}]}]},
        {"texts": ["U"]},
        {"text": "U"},
        {"inputText": "U"},
        {"content": {"parts": [{"text": "U"}]}},
        {"requests": [{"model": "m", "content": {"parts": [{"text": "U"}]}}]},
        {"instances": [{"content": "U"}]},
        {"instances": [{"prompt": "U"}]},
    ],
)
def test_what_is_embedded_counted_or_predicted_is_the_user_s(fields):
    assert conversation(fields, wire.prompt_names(None)) == [{"role": "user", "content": "U"}]


def test_what_was_asked_can_be_read():
    asked = request("m-2", max_completion_tokens=5, stream=True, messages=[{"role": "user", "content": "hi"}])
    assert (asked.model, asked.stream, asked.max_tokens) == ("m-2", True, 5)
    assert asked.messages == [{"role": "user", "content": "hi"}]


def test_a_request_s_repr_shows_no_key():
    shown = repr(Request("POST", CHAT, "key=k-secret", {"authorization": "Bearer k-secret"}))
    assert "k-secret" not in shown
