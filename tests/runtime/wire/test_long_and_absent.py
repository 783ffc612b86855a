"""Answers too long to hold, and answers without usage: what is said is read, what is not is estimated."""

from __future__ import annotations

import json

import pytest
from support.provider_answers import counts, event, read
from support.strategies import FORMATS

from llmmetrics.wire.estimation import estimate
from llmmetrics.wire.framing.body_buffer import TAIL, keep

VECTORS = [[0.125] * 1024 for _ in range(TAIL // 1024)]
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model"


@pytest.mark.parametrize(
    ("url", "after", "expected"),
    [
        ("https://api.voyageai.com/v1/embeddings", {"model": "m", "usage": {"total_tokens": 7}}, (7, 0)),
        ("https://api.cohere.com/v2/embed", {"meta": {"billed_units": {"input_tokens": 7}}}, (7, 0)),
        (
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-embedding-2:batchEmbedContents",
            {"usageMetadata": {"promptTokenCount": 7}},
            (7, 0),
        ),
        # nothing but vectors: no usage, and nothing wrong with it
        ("https://generativelanguage.googleapis.com/v1beta/models/gemini-embedding-2:batchEmbedContents", {}, None),
        (f"{BEDROCK}/cohere.embed-v4:0/invoke", {}, (9, 0)),
    ],
)
def test_long_embeddings_are_read_from_their_end_or_their_headers(url, after, expected):
    headers = [("x-amzn-bedrock-input-token-count", "9")]
    seen = read(url, {"embeddings": VECTORS, **after}, headers=headers)
    assert (counts(seen), seen.error_type) == (expected, None)


def test_a_long_page_is_no_answer():
    page = b"<html>" + b"x" * 4 * TAIL
    assert read("https://api.cohere.com/v2/embed", page).error_type == "unknown"


@pytest.mark.parametrize(
    ("api", "request_body"),
    [
        ("cohere.v1.chat", {"prompt": "x" * 40}),
        ("rerank", {"query": "x" * 20, "documents": ["x" * 10, {"text": "x" * 10}]}),
        ("cohere.embed", {"texts": ["x" * 20, "x" * 20]}),
        ("gemini.embed", {"requests": [{"model": "models/m", "content": {"parts": [{"text": "x" * 40}]}}]}),
        ("gemini.embed", {"content": {"parts": [{"text": "x" * 40}]}}),
        ("vertex.predict", {"instances": [{"content": "x" * 40}]}),
        ("bedrock.invoke", {"inputText": "x" * 40}),
    ],
)
def test_the_prompt_is_found_under_every_formats_name(api, request_body):
    assert 5 <= estimate.prompt_tokens(json.dumps({**request_body, "model": "m"}).encode(), FORMATS[api]) <= 15


@pytest.mark.parametrize(
    ("api", "answer"),
    [
        ("anthropic.complete", json.dumps({"completion": "x" * 40}).encode()),
        ("bedrock.invoke", json.dumps({"generation": "x" * 40}).encode()),
        ("bedrock.invoke", json.dumps({"results": [{"outputText": "x" * 40}]}).encode()),
        ("watsonx.generate", json.dumps({"results": [{"generated_text": "x" * 40}]}).encode()),
        ("bedrock.converse", event("contentBlockDelta", {"delta": {"text": "x" * 20}}) * 2),
    ],
)
def test_the_completion_is_found_under_every_formats_name(api, answer):
    assert 5 <= estimate.completion_tokens(keep(answer), FORMATS[api]) <= 15
