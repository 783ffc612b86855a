"""Errors inside a 200 in another vendor's envelope, and answers that break off."""

from __future__ import annotations

import json

import pytest
from support.provider_answers import counts, read

from llmmetrics.reading.endings import End
from llmmetrics.reading.outcome import outcome_of
from llmmetrics.wire import FORMATS, claim
from llmmetrics.wire.framing.body_buffer import BodyBuffer

HOST = "https://x.example"
ASKED = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
CHAT, MESSAGES, GEMINI = "/v1/chat/completions", "/v1/messages", "/v1beta/models/m:generateContent"


def outcome(path, body, end=End.EXHAUSTED, exception=None):
    found = claim("POST", "x.example", path)
    buffer = BodyBuffer()
    buffer.headers = {}
    buffer.feed(body if isinstance(body, bytes) else json.dumps(body).encode())
    return outcome_of(found.format, 200, buffer, json.dumps(ASKED).encode(), end, exception, "m")


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        # https://platform.minimax.io/docs/api-reference/errorcode
        (CHAT, {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, "unknown"),
        (CHAT, {"base_resp": {"status_code": 1002}, "usage": {"total_tokens": 0}}, "rate_limit"),
        (CHAT, {"base_resp": {"status_code": 1004}}, "auth"),
        (CHAT, b'data: {"base_resp": {"status_code": 2049, "status_msg": "invalid api key"}}\n\n', "auth"),
        # https://docs.z.ai/api-reference/api-code
        (CHAT, {"code": 500, "msg": "404 NOT_FOUND", "success": False}, "unknown"),
        (MESSAGES, {"code": "1302", "msg": "Rate limit reached", "success": False}, "rate_limit"),
        (CHAT, {"code": 401, "msg": "token expired", "success": False}, "auth"),
        # https://cloud.baidu.com/doc/WENXINWORKSHOP/s/tlmyncueh
        (CHAT, {"error_code": 336000, "error_msg": "Internal error", "id": "as-1"}, "unknown"),
        (CHAT, {"error_code": 18, "error_msg": "Open api qps request limit reached"}, "rate_limit"),
        (CHAT, {"error_code": 110, "error_msg": "Access token invalid or no longer valid"}, "auth"),
        (CHAT, {}, "unknown"),
        (MESSAGES, {}, "unknown"),
        (GEMINI, {}, "unknown"),
        ("/api/chat", {}, "unknown"),
        ("/v2/chat", {"message": None}, "unknown"),
        ("/v1/embeddings", {"data": None, "detail": "Not authenticated"}, "unknown"),
        (CHAT, {"status": "fail", "reason": "quota"}, "unknown"),
        ("/v1/responses", {"code": 7, "message": "no such model"}, "unknown"),
    ],
)
def test_another_vendors_error_inside_a_200(path, body, error):
    seen = read(HOST + path, body, asked=ASKED)
    assert (seen.error_type, seen.usage, seen.cost_usd) == (error, None, None)
    live = outcome(path, body)
    assert (live.status, live.error, live.usage, live.known) == ("failure", error, None, True)
    # an SDK that lets go of it does so because of what it is
    assert outcome(path, body, End.CLOSED).error == error


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"choices": [{"message": {"content": "hi"}}], "base_resp": {"status_code": 0, "status_msg": ""}}),
        (CHAT, {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}, "code": 0, "msg": "ok"}),
        (CHAT, {"id": "c", "choices": [{"text": "error_code"}]}),
        (CHAT, {"contentType": "application/json", "pathname": "/chat/completions"}),
        (MESSAGES, {"content": [{"type": "text", "text": "hi"}], "code": "200", "msg": "ok"}),
        (GEMINI, {"promptFeedback": {"blockReason": "SAFETY"}}),
        ("/v1/responses", {"id": "r", "status": "queued", "usage": None}),
        ("/v2/chat", {"message": {"content": []}, "finish_reason": "COMPLETE"}),
        ("/api/chat", {"done": True, "message": {"content": "hi"}}),
    ],
)
def test_an_answer_of_the_format_is_none(path, body):
    assert read(HOST + path, body, asked=ASKED).error_type is None
    assert outcome(path, body).status == "success"


WHOLE = {
    CHAT: {"choices": [{"message": {"content": "hi"}}], "usage": {"prompt_tokens": 12, "completion_tokens": 34}},
    MESSAGES: {"content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 12, "output_tokens": 34}},
    GEMINI: {"candidates": [{}], "usageMetadata": {"promptTokenCount": 12, "candidatesTokenCount": 34}},
    "/api/chat": {"done": True, "prompt_eval_count": 12, "eval_count": 34},
}


@pytest.mark.parametrize("path", WHOLE)
def test_a_json_answer_that_breaks_off_after_its_usage_has_said_it(path):
    text = json.dumps({**WHOLE[path], "system_fingerprint": "fp_0"})
    for cut in (text[:-3], text[: text.index('"system')]):
        seen = read(HOST + path, cut.encode(), asked=ASKED)
        assert (counts(seen), seen.error_type) == ((12, 34), None)
        live = outcome(path, cut.encode())
        assert (live.status, live.known, live.usage[:2]) == ("success", True, (12, 34))


@pytest.mark.parametrize("path", WHOLE)
def test_one_that_breaks_off_in_it_or_before_has_not(path):
    text = json.dumps(WHOLE[path])
    for end in (text.index("34") + 1, text.index("34") - 5, text.index("12") + 1, 9):
        seen = read(HOST + path, text[:end].encode(), asked=ASKED)
        assert (seen.usage, seen.error_type) == (None, "unknown")
        live = outcome(path, text[:end].encode())
        assert (live.error, live.known) == ("unknown", False)


def test_every_format_says_what_an_answer_has():
    # each of Bedrock's models has a body of its own, and a count is an answer whatever is in it
    without = {
        each.id for each in FORMATS if not each.members and not (each.id.endswith("count_tokens") or each.any_body)
    }
    assert without <= {"bedrock.invoke"}


def lines(*events):
    return "".join(f"{json.dumps(each)}\n" for each in events).encode()


def events(*each):
    return "".join(f"data: {json.dumps(one)}\n\n" for one in each).encode()


START = {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 12, "output_tokens": 1}}}
TEXT = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "hi"}}
STOP = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 34}}
HI = {"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": None}]}
USED = {"usage": {"prompt_tokens": 12, "completion_tokens": 34}}
LAST = {"done": True, "done_reason": "stop", "prompt_eval_count": 12, "eval_count": 34}


@pytest.mark.parametrize(
    ("path", "body", "known"),
    [
        # litellm's own stream stops there
        (MESSAGES, events(START, TEXT, STOP), True),
        ("/api/chat", lines({"message": {"content": "hi"}, "done": False}, LAST), True),
        ("/api/generate", lines({"response": "hi", "done": False}, LAST), True),
        ("/api/generate", lines(LAST), True),
        # hosts that say both at once, and one that says the usage after
        (CHAT, events(HI, {"choices": [{"delta": {}, "finish_reason": "stop"}], **USED}), True),
        (CHAT, events(HI, {"choices": [{"delta": {}, "finish_reason": "length"}]}, {"choices": [], **USED}), True),
        (CHAT, events(HI, {"choices": [{"delta": {}, "finish_reason": "stop"}]}), False),
        (GEMINI, events({"candidates": [{"finishReason": "STOP"}]}), False),
    ],
)
def test_an_answer_has_ended_with_the_event_that_says_why_it_stopped(path, body, known):
    for end in (End.CLOSED, End.DROPPED, End.EXHAUSTED):
        seen = outcome(path, body, end)
        assert (seen.status, seen.error, seen.known) == ("success", None, known)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (MESSAGES, events(START, TEXT)),
        (MESSAGES, events(START, {"type": "message_delta", "delta": {"stop_reason": None}, "usage": {}})),
        ("/api/chat", lines({"message": {"content": "hi"}, "done": False})),
        ("/api/generate", lines({"response": "hi", "done": False})),
        ("/api/generate", lines({"response": "hi", "done": False}, {"response": "there", "done": False})),
        ("/api/chat", json.dumps({"message": {"content": "hi"}, "done": False}).encode()),
        ("/cohere/v1/chat", lines({"is_finished": False, "event_type": "stream-start"})),
        (CHAT, events(HI)),
        (CHAT, events({**HI, **USED})),
    ],
)
def test_a_stream_that_is_closed_before_is_cancelled(path, body):
    for end in (End.CLOSED, End.DROPPED):
        seen = outcome(path, body, end)
        assert (seen.status, seen.error, seen.known) == ("cancelled", None, False)
