"""What is not billed is known to cost nothing: Anthropic's refusals before any output."""

from __future__ import annotations

from decimal import Decimal

import pytest
from support.provider_answers import counts, read, sse

URL = "https://api.anthropic.com/v1/messages"
MODEL, FALLBACK = "claude-fable-5", "claude-haiku-4-5"
ASKED = {"input_tokens": 100_000, "output_tokens": 0}


def message(usage, stop_reason="refusal", **more):
    return {"model": MODEL, "content": [], "stop_reason": stop_reason, "usage": usage, **more}


def stream(usage, stop_reason="refusal"):
    start = {"type": "message_start", "message": {"model": MODEL, "stop_reason": None, "usage": ASKED}}
    end = {"type": "message_delta", "delta": {"stop_reason": stop_reason}, "usage": usage}
    return sse(start, end, {"type": "message_stop"})


@pytest.mark.parametrize(
    "answer",
    [
        message(ASKED),
        message({**ASKED, "cache_read_input_tokens": 5}),
        message(ASKED, model="a-model-that-has-no-price"),
        stream({"output_tokens": 0}),
        stream(ASKED),
        stream({"input_tokens": 0, "output_tokens": 0}),
    ],
)
def test_a_refusal_before_any_output_costs_nothing(answer):
    seen = read(URL, answer)
    assert (seen.cost_usd, seen.error_type) == (0, None)
    assert counts(seen) in {(100_000, 0), (100_005, 0)}


@pytest.mark.parametrize(
    "answer",
    [
        message({**ASKED, "output_tokens": 1}),
        message(ASKED, "end_turn"),
        message(ASKED, None),
        stream({"output_tokens": 1}),
        stream({"output_tokens": 0}, "end_turn"),
    ],
)
def test_what_has_output_or_another_reason_is_billed(answer):
    assert read(URL, answer).cost_usd > 0


def test_other_sellers_say_nothing_of_it():
    vertex = (
        "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/anthropic/models/claude-opus-4-5"
    )
    assert read(f"{vertex}:rawPredict", message(ASKED, model="claude-opus-4-5")).cost_usd > 0


def hop(kind, model, output):
    return {"type": kind, "model": model, "input_tokens": 1000, "output_tokens": output}


@pytest.mark.parametrize(
    ("passes", "reason", "cost"),
    [
        # $1 and $5 a million for the model that took over
        ([hop("message", MODEL, 0), hop("fallback_message", FALLBACK, 100)], "end_turn", "0.0015"),
        ([hop("message", MODEL, 0), hop("message", MODEL, 0), hop("fallback_message", FALLBACK, 0)], "refusal", "0"),
        # one that had begun to answer is billed: $10 and $50 a million
        ([hop("message", MODEL, 10), hop("fallback_message", FALLBACK, 100)], "end_turn", "0.012"),
    ],
)
def test_the_hops_of_a_fallback(passes, reason, cost):
    usage = {"input_tokens": 1000, "output_tokens": passes[-1]["output_tokens"], "iterations": passes}
    seen = read(URL, message(usage, reason))
    assert (seen.usage.prompt, seen.cost_usd) == (1000 * len(passes), Decimal(cost))
