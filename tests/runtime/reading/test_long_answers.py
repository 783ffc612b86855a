"""A long JSON answer is read from its ends: what is counted is the same as if it were short."""

from __future__ import annotations

import json

import pytest

from llmmetrics import wire
from llmmetrics.reading.endings import End
from llmmetrics.reading.error_types import Status
from llmmetrics.reading.outcome import outcome_of
from llmmetrics.wire.framing.body_buffer import HELD, NEAR_END, BodyBuffer

FORMAT = wire.claim("POST", "api.openai.com", "/v1/chat/completions").format
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 40, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 5, "audio_tokens": 0},
}
TEXTS = {
    "plain": "x",
    "escaped": '\\ " \n',
    "of three bytes": "字",
    "of two, three and four bytes": "é字😀x",
    "with a usage": '"usage": {"prompt_tokens": 7}, "model": "other"',
}


def answer(text, members=(), **fields):
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    body = {"id": "1", "model": "gpt-4o-mini", "choices": [choice], **dict(members), "usage": USAGE, **fields}
    return json.dumps(body, ensure_ascii=False).encode()


def read(body, size):
    buffer, held = BodyBuffer(), 0
    for at in range(0, len(body), size):
        buffer.chunks.append(body[at : at + size])
        held += len(buffer.chunks[-1])
        if held > HELD:
            held = buffer.trim(held)
    return outcome_of(FORMAT, 200, buffer, b'{"model":"gpt-4o-mini"}', End.EXHAUSTED, None, "gpt-4o-mini")


def told(outcome):
    return outcome.status, outcome.error, outcome.model, outcome.usage, outcome.tier, outcome.known


@pytest.mark.parametrize("size", [1000, 16_384, 300_000, 10_000_000])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_of_any_length_counts_as_a_short_one(text, size):
    short = told(read(answer(text), size))
    assert short[:3] == (Status.SUCCESS, None, "gpt-4o-mini")
    assert short[3].buckets == {"input": 60, "cache_read": 40, "output": 15, "reasoning": 5}
    # lengths in a row, so that a cut is at each byte of a character
    for extra in range(5):
        assert told(read(answer(text * (200_000 // len(text)) + "x" * extra), size)) == short


@pytest.mark.parametrize(
    ("members", "fields"),
    [
        ((), {"service_tier": "flex"}),
        ({"service_tier": "flex"}.items(), {}),
        ({"service_tier": "flex"}.items(), {"citations": ["https://example.com/" + "y" * 90] * 100}),
        ({"service_tier": "flex", "search_results": [{"title": "z" * 90}] * 100}.items(), {}),
        ((), {"service_tier": "flex", "note": "n" * 2 * NEAR_END}),
    ],
    ids=["after the usage", "before it", "before a long list", "and a list before the usage", "before a long text"],
)
def test_a_tier_near_the_end_is_read(members, fields):
    assert read(answer("x" * 200_000, members, **fields), 10_000_000).tier == "flex"


@pytest.mark.parametrize(("less", "more"), [(1, b""), (300, b""), (0, b"}"), (0, b'{"a": 1}')])
def test_a_spoilt_answer_is_no_plain_success(less, more):
    body = answer("x" * 200_000)
    assert read(body, 10_000_000).plain
    assert not read(body[: len(body) - less] + more, 10_000_000).plain


def test_an_error_in_a_long_answer_is_one():
    assert not read(answer("x" * 200_000, error={"message": "no", "code": "server_error"}), 10_000_000).plain
