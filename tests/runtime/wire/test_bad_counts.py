"""Counts that cannot be are no usage, in every format: the call is estimated, and counted as one that was not read."""

from __future__ import annotations

import json

import pytest
from prometheus_client import CollectorRegistry
from support.provider_answers import aws, read

from llmmetrics import Meter, wire
from llmmetrics.reading import outcome
from llmmetrics.testing import observe
from llmmetrics.wire.format import MOST
from llmmetrics.wire.framing.body_buffer import BodyBuffer

httpx = pytest.importorskip("httpx")

OPENAI = "https://api.openai.com/v1"
GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash"
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model"
VERTEX = "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5/publishers"
COHERE = "https://api.cohere.com"

# of every format, an answer with one count that varies
ANSWERS = {
    "openai.chat": (f"{OPENAI}/chat/completions", lambda n: {"usage": {"prompt_tokens": 1, "completion_tokens": n}}),
    "openai.responses": (f"{OPENAI}/responses", lambda n: {"usage": {"input_tokens": n, "output_tokens": 1}}),
    "openai.completions": (f"{OPENAI}/completions", lambda n: {"usage": {"prompt_tokens": n}}),
    "openai.embeddings": (f"{OPENAI}/embeddings", lambda n: {"usage": {"total_tokens": n}}),
    "anthropic.messages": (
        "https://api.anthropic.com/v1/messages",
        lambda n: {"usage": {"input_tokens": 1, "cache_read_input_tokens": n, "output_tokens": 1}},
    ),
    "gemini.generate": (f"{GEMINI}:generateContent", lambda n: {"usageMetadata": {"promptTokenCount": n}}),
    "gemini.embed": (f"{GEMINI}:embedContent", lambda n: {"usageMetadata": {"promptTokenCount": n}}),
    "gemini.interactions": (
        "https://generativelanguage.googleapis.com/v1beta/interactions",
        lambda n: {"usage": {"total_input_tokens": n, "total_output_tokens": 1}},
    ),
    "cohere.v2.chat": (f"{COHERE}/v2/chat", lambda n: {"usage": {"tokens": {"input_tokens": n}}}),
    "cohere.v1.chat": (f"{COHERE}/v1/chat", lambda n: {"meta": {"billed_units": {"output_tokens": n}}}),
    "cohere.embed": (f"{COHERE}/v2/embed", lambda n: {"meta": {"billed_units": {"input_tokens": n}}}),
    "rerank": ("https://api.voyageai.com/v1/rerank", lambda n: {"usage": {"total_tokens": n}}),
    "ollama.chat": ("http://localhost:11434/api/chat", lambda n: {"done": True, "eval_count": n}),
    "ollama.generate": ("http://localhost:11434/api/generate", lambda n: {"done": True, "prompt_eval_count": n}),
    "ollama.embed": ("http://localhost:11434/api/embed", lambda n: {"prompt_eval_count": n}),
    "bedrock.converse": (f"{BEDROCK}/amazon.nova-micro-v1:0/converse", lambda n: {"usage": {"inputTokens": n}}),
    "bedrock.invoke": (f"{BEDROCK}/meta.llama3-70b-instruct-v1:0/invoke", lambda n: {"prompt_token_count": n}),
    "vertex.predict": (
        f"{VERTEX}/google/models/text-embedding-005:predict",
        lambda n: {"predictions": [{"embeddings": {"statistics": {"token_count": n}}}]},
    ),
    "vertex.anthropic": (
        f"{VERTEX}/anthropic/models/claude-haiku-4-5:rawPredict",
        lambda n: {"usage": {"input_tokens": n, "output_tokens": 1}},
    ),
    "vertex.chat": (
        f"{VERTEX}/mistralai/models/mistral-small:rawPredict",
        lambda n: {"usage": {"prompt_tokens": n, "completion_tokens": 1}},
    ),
    "watsonx.generate": (
        "https://us-south.ml.cloud.ibm.com/ml/v1/text/generation",
        lambda n: {"results": [{"generated_token_count": 1, "input_token_count": n}]},
    ),
    "watsonx.chat": (
        "https://us-south.ml.cloud.ibm.com/ml/v1/text/chat",
        lambda n: {"usage": {"prompt_tokens": n, "completion_tokens": 1}},
    ),
    "watsonx.embed": (
        "https://us-south.ml.cloud.ibm.com/ml/v1/text/embeddings",
        lambda n: {"input_token_count": n},
    ),
}
WITHOUT = {"anthropic.complete"} | {each.id for each in wire.FORMATS if each.id.endswith(".count_tokens")}
"""Formats whose answers hold no count that is read."""

# a count of tokens is a whole number, or a float that is one
IMPOSSIBLE = [-1, -0.5, 0.5, MOST, 1e300, float("nan"), float("inf"), "5", "-1", True, [1], {"n": 1}, 10**40]


def test_every_format_is_here():
    assert {each.id for each in wire.FORMATS} == ANSWERS.keys() | WITHOUT


@pytest.mark.parametrize("bad", IMPOSSIBLE, ids=repr)
@pytest.mark.parametrize("api", ANSWERS)
def test_an_impossible_count_is_no_usage(api, bad):
    url, answer = ANSWERS[api]
    assert read(url, answer(5)).usage is not None
    seen = read(url, answer(bad))
    assert (seen.api, seen.usage, seen.cost_usd) == (api, None, None)


@pytest.mark.parametrize("bad", [-1, MOST])
@pytest.mark.parametrize("api", ANSWERS)
def test_an_impossible_count_is_counted(api, bad):
    registry, records = CollectorRegistry(), []
    url, answer = ANSWERS[api]
    served = httpx.MockTransport(lambda _: httpx.Response(200, json=answer(bad)))
    client = httpx.Client(transport=Meter(registry=registry).transport(served))
    with observe(records.append):
        client.post(url, json={"model": "m", "messages": [{"role": "user", "content": "Hello?"}]})
    (record,) = records
    assert (record.api, record.status, record.usage_known) == (api, "success", False)
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
