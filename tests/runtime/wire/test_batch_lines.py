"""The results of batches, a line for each request: what each kind of answer was billed by. No line is silently 0."""

from __future__ import annotations

import pytest

from llmmetrics import wire
from llmmetrics.reading.results import inline_results
from llmmetrics.wire.framing.frames import parse

FORMATS = {each.id: each for each in wire.FORMATS}
CHAT = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
SEEN = {"input_tokens": 50, "input_tokens_details": {"text_tokens": 50}, "output_tokens": 4160}
ANTHROPIC = {"type": "message", "model": "claude-x", "content": [], "usage": {"input_tokens": 3, "output_tokens": 4}}
GEMINI = {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7}


def openai(body, status=200):
    return "openai.batches", {"custom_id": "a", "response": {"status_code": status, "body": body}, "error": None}


def mistral(body):
    return "mistral.batches", {"custom_id": "a", "response": {"status_code": 200, "body": body}}


def anthropic(**result):
    return "anthropic.batches", {"custom_id": "a", "result": result}


def gemini(**line):
    return "gemini.batches", {"key": "a", **line}


BILLED = {
    "chat": (openai({"object": "chat.completion", "usage": CHAT}), {"input": 12, "output": 5}),
    "chat without its name": (openai({"choices": [], "usage": CHAT}), {"input": 12, "output": 5}),
    "response": (
        openai({"object": "response", "id": "resp_1", "status": "completed", "usage": SEEN}),
        {"input": 50, "output": 4160},
    ),
    "embeddings": (
        openai({"object": "list", "data": [], "usage": {"prompt_tokens": 8, "total_tokens": 8}}),
        {"input": 8},
    ),
    "images": (openai({"created": 1, "data": [{"b64_json": "x"}], "usage": SEEN}), {"input": 50, "output_image": 4160}),
    "film": (
        openai({"object": "video", "model": "sora-2", "status": "completed", "seconds": "8", "size": "720x1280"}),
        {"video_second": 8},
    ),
    "moderation": (openai({"id": "modr-1", "results": [{"flagged": False, "categories": {}}]}), {}),
    "transcription": (openai({"text": "hi", "usage": {"type": "duration", "seconds": 60}}), {"audio_ms": 60_000}),
    "Groq's transcription": (openai({"text": "hi", "duration": 3.5, "x_groq": {"id": "a"}}), {"audio_ms": 10_000}),
    "Mistral's chat": (mistral({"object": "chat.completion", "usage": CHAT}), {"input": 12, "output": 5}),
    "pages": (mistral({"pages": [{}], "usage_info": {"pages_processed": 3}}), {"page": 3}),
    "conversation": (
        mistral({"object": "conversation.response", "outputs": [{"model": "m"}], "usage": CHAT}),
        {"input": 12, "output": 5},
    ),
    "Anthropic's": (anthropic(type="succeeded", message=ANTHROPIC), {"input": 3, "output": 4}),
    "Gemini's": (gemini(response={"usageMetadata": GEMINI}), {"input": 3, "output": 4}),
    "Gemini's embedding": (gemini(response={"embedding": {"values": [1]}, "tokenCount": "7"}), {"input": 7}),
}


def read(case):
    id, line = case
    return inline_results(FORMATS[id].batch.result, [line]).readings


@pytest.mark.parametrize("name", BILLED)
def test_each_kind_is_read_by_its_own_format(name):
    case, buckets = BILLED[name]
    ((_, reading),) = read(case)
    assert dict(reading.usage.buckets) == buckets
    assert reading.error is None


@pytest.mark.parametrize(
    "body",
    [
        {"pages": [{}], "document_annotation": "{}", "usage_info": {"pages_processed": 3}},
        {"pages": [{"images": [{"image_annotation": "x"}]}], "usage_info": {"pages_processed": 3}},
    ],
)
def test_annotated_pages_are_dearer(body):
    ((_, reading),) = read(mistral(body))
    ((_, usage),) = reading.charges
    assert dict(usage.buckets) == {"annotated_page": 3}


UNKNOWN = {
    "chat": openai({"object": "chat.completion", "choices": []}),
    "counts that cannot be right": openai({"object": "chat.completion", "usage": {"prompt_tokens": -1}}),
    "transcription": openai({"text": "hi", "x_groq": {"id": "a"}}),
    "classification": mistral({"id": "c", "results": [{"spam": {"scores": {}}}]}),
    "pages": mistral({"pages": []}),
    "Gemini's": gemini(response={"candidates": []}),
    "Gemini's embedding": gemini(response={"embedding": {"values": [1]}}),
    "Anthropic's": anthropic(type="succeeded", message={"type": "message"}),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_carries_no_usage_is_unknown(name):
    ((_, reading),) = read(UNKNOWN[name])
    assert reading.usage is None


FAILED = {
    "no response": ("openai.batches", {"custom_id": "a", "response": None, "error": {"code": "batch_expired"}}),
    "an error's status": openai({"object": "error", "message": "no"}, 400),
    "an error": openai({"error": {"message": "no"}}),
    "Anthropic's": anthropic(type="errored", error={"type": "error"}),
    "Anthropic's expired": anthropic(type="expired"),
    "Gemini's": gemini(error={"code": 3}),
}


@pytest.mark.parametrize("name", FAILED)
def test_a_request_that_failed_costs_nothing(name):
    assert read(FAILED[name]) == []


@pytest.mark.parametrize(
    "holder",
    [lambda results: {"response": results}, lambda results: {"metadata": {"output": results}}],
    ids=["response", "metadata"],
)
@pytest.mark.parametrize(
    "names",
    [
        ("inlinedResponses", "inlinedResponses"),
        ("inlinedEmbedContentResponses", "inlinedResponses"),
        ("inlinedEmbedContentResponses", "inlinedEmbedContentResponses"),
    ],
)
def test_the_places_of_geminis_own_results(holder, names):
    outer, inner = names
    body = holder({outer: {inner: [{"response": {"embedding": {}, "tokenCount": "7"}}]}})
    assert len(FORMATS["gemini.batches"].batch.inline(body)) == 1


@pytest.mark.parametrize("id", ["openai.batches", "mistral.batches", "anthropic.batches", "gemini.batches"])
@pytest.mark.parametrize(
    "line",
    [
        '{"custom_id": 1, "response": [], "result": {"message": 3}}',
        '{"custom_id": 1, "response": {"status_code": "x", "body": {"results": [1], "object": []}}}',
        '{"custom_id": 1, "response": {"body": {"pages": [1, {"images": [2]}], "usage_info": []}}}',
        '{"response": {"embedding": 1, "tokenCount": {"a": 1}}, "result": []}',
        '{"response": {"embedding": 1, "tokenCount": "99999999999999999999999"}}',
    ],
)
def test_garbage_raises_nothing(id, line):
    inline_results(FORMATS[id].batch.result, [parse(line.encode())])
