"""Counts that cannot be are no usage, in every format: the call is estimated, and counted as one that was not read."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from support import simulated_formats
from support.provider_answers import aws, read
from support.simulated_formats import FORMATS, simulated, url

from llmmetrics import Meter, wire
from llmmetrics.reading import outcome
from llmmetrics.testing import observe
from llmmetrics.wire.format import MOST
from llmmetrics.wire.framing.body_buffer import BodyBuffer

httpx = pytest.importorskip("httpx")

OPENAI = "https://api.openai.com/v1"
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model"

ANSWER = replace(simulated_formats.ANSWER, cache_read=5, cache_write=3, reasoning=2)

WHOLE = [name for name, (*_, streams) in FORMATS.items() if streams is not None]


def counts(value, change):
    """The document once for each count in it, with this count changed."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from ({**value, key: other} for other in counts(inner, change))
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from ([*value[:n], other, *value[n + 1 :]] for other in counts(inner, change))
    elif type(value) is int:
        yield change(value)


def spoilt(name, bad):
    """The simulated answers of a row, each with one count that is read and that is bad."""
    (body,) = simulated(name, ANSWER).chunks
    answer = json.loads(body)
    usage = read(url(name), answer).usage
    pairs = zip(counts(answer, lambda n: n + 1), counts(answer, lambda _: bad), strict=True)
    return [other for one_more, other in pairs if read(url(name), one_more).usage != usage]


COUNTED = [name for name in WHOLE if spoilt(name, -1)]


# a count of tokens is a whole number, or a float that is one
IMPOSSIBLE = [-1, -0.5, 0.5, MOST, 1e300, float("nan"), float("inf"), "5", "-1", True, [1], {"n": 1}, 10**40]


@pytest.mark.parametrize("name", WHOLE)
def test_each_count_that_a_format_says_is_read(name):
    free = wire.claim("POST", "", FORMATS[name][0], wire.ANY).format.billing is wire.Billing.FREE
    said = simulated(name, ANSWER).chunks != simulated(name, replace(ANSWER, prompt_tokens=121)).chunks
    assert (name in COUNTED) == (said and not free), f"{name}: no count of its simulated answer is read"


@pytest.mark.parametrize("bad", IMPOSSIBLE, ids=repr)
@pytest.mark.parametrize("name", COUNTED)
def test_an_impossible_count_is_no_usage(name, bad):
    for answer in spoilt(name, bad):
        seen = read(url(name), answer)
        assert (seen.api, seen.usage, seen.cost_usd) == (name.partition(" ")[0], None, None)


@pytest.mark.parametrize("bad", [-1, MOST])
@pytest.mark.parametrize("name", COUNTED)
def test_an_impossible_count_is_counted(name, bad):
    registry, records = CollectorRegistry(), []
    answer = spoilt(name, bad)[0]
    served = httpx.MockTransport(lambda _: httpx.Response(200, json=answer))
    client = httpx.Client(transport=Meter(registry=registry).transport(served))
    with observe(records.append):
        client.post(url(name), json={"model": "m", "messages": [{"role": "user", "content": "Hello?"}]})
    (record,) = records
    assert (record.api, record.status, record.usage_known) == (name.partition(" ")[0], "success", False)
    assert 0 <= record.usage.total < 1000
    for family in ("llmmetrics_unread_calls_total", "llmmetrics_calls_without_usage_total"):
        assert registry.get_sample_value(family, {"reason": "usage"}) == 1


@pytest.mark.parametrize("bad", ["-1", "1e3", "5.0", "", "²", "9" * 5000])
def test_an_impossible_count_in_a_header_is_no_usage(bad):
    headers = [("x-amzn-bedrock-input-token-count", bad), ("x-amzn-bedrock-output-token-count", "3")]
    assert read(f"{BEDROCK}/cohere.command-r-v1:0/invoke", {"text": "a"}, headers=headers).usage is None


def test_an_impossible_count_in_a_stream():
    frames = aws({"usage": {"inputTokens": -1, "outputTokens": 1}}, event_type="metadata", message_type="event")
    buffer = BodyBuffer()
    buffer.feed(frames)
    format = wire.claim("POST", "h", "/model/m/converse-stream").format
    found = outcome.outcome_of(format, 200, buffer, b"{}", outcome.End.EXHAUSTED, None)
    assert (found.unread, found.known) == ("usage", False)


@pytest.mark.parametrize(
    "usage",
    [
        {"cost": 0.1, "is_byok": True, "cost_details": {"upstream_inference_cost": "abc"}},
        {"cost": 0.1, "is_byok": True, "cost_details": {"upstream_inference_cost": "sNaN"}},
        {"cost": "1e999999"},
        {"cost": 1e300},
        {"cost": -1},
        {"cost": "NaN"},
        {"cost": [1]},
        {"cost": {"total_cost": {}}},
        {"cost_in_usd_ticks": "x"},
        {"cost_in_usd_ticks": 10**400},
        {"pydantic_ai_gateway": 5},
    ],
    ids=json.dumps,
)
def test_an_impossible_cost_is_none(usage):
    answer = {"model": "openai/gpt-4o-mini", "usage": {"prompt_tokens": 1000, "completion_tokens": 0, **usage}}
    # what the catalogue says: $0.15 a million
    assert str(read("https://openrouter.ai/api/v1/chat/completions", answer).cost_usd) == "0.00015"


@pytest.mark.parametrize("code", ["9" * 5000, "²", "429.0", "", "-429"])
def test_an_impossible_status_inside_an_answer_is_an_error_all_the_same(code):
    assert read(f"{OPENAI}/chat/completions", {"error": {"code": code}}).error_type == "api_error"
