"""The most that a request may cost, whatever its provider calls the bound."""

from __future__ import annotations

import json
from base64 import b64encode
from decimal import Decimal

import pytest

from llmmetrics import wire
from llmmetrics.pricing.price import ATTO, Price, configured
from llmmetrics.pricing.worst_case import MOST_SEARCHES, UNKNOWN_WINDOW, WorstCase, worst_case

PER_MILLION = ATTO // 10**6
OUTPUT_ONLY = configured({"input": Decimal(0), "output": Decimal(1)})
INPUT_ONLY = configured({"input": Decimal(1), "output": Decimal(0)})


FORMATS = {each.id: each for each in wire.FORMATS}
CHAT = FORMATS["openai.chat"]


def output(request, window=None, format=CHAT):
    """The output tokens that are reserved for a request."""
    return worst_case(OUTPUT_ONLY, format, json.dumps(request).encode(), window).cost / PER_MILLION


@pytest.mark.parametrize(
    ("name", "request_body"),
    [
        ("openai.chat", {"max_tokens": 7}),
        ("openai.chat", {"max_completion_tokens": 7}),
        ("openai.chat", {"max_tokens": 3, "max_completion_tokens": 7}),
        ("openai.responses", {"max_output_tokens": 7}),
        ("anthropic.complete", {"max_tokens_to_sample": 7}),
        ("gemini.generate", {"generationConfig": {"maxOutputTokens": 7}}),
        ("gemini.generate", {"generation_config": {"max_output_tokens": 7}}),
        ("gemini.interactions", {"generation_config": {"max_output_tokens": 7}}),
        ("ollama.chat", {"options": {"num_predict": 7}}),
        ("bedrock.converse", {"inferenceConfig": {"maxTokens": 7}}),
        ("bedrock.invoke", {"max_gen_len": 7}),
        ("bedrock.invoke", {"max_tokens": 7}),
        ("bedrock.invoke", {"textGenerationConfig": {"maxTokenCount": 7}}),
        ("vertex.predict", {"parameters": {"maxOutputTokens": 7}}),
        ("watsonx.generate", {"parameters": {"max_new_tokens": 7}}),
        ("watsonx.chat", {"max_tokens": 7}),
    ],
)
def test_every_format_s_name_of_the_limit(name, request_body):
    assert output(request_body, 1000, FORMATS[name]) == 7


@pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)
def test_every_format_says_where_its_limit_stands(format):
    """Without names the worst case is the model's window: `NO_COMPLETION` says that there is no completion."""
    assert format.output_limits is not None, f"{format.id} has no output_limits: name the request's fields"
    for place in format.output_limits:
        fields = 7
        for name in reversed(place):
            fields = {name: fields}
        assert output(fields, 1000, format) == 7
    assert output({}, 1000, format) == (1000 if format.output_limits else 0)


def test_another_format_s_name_is_no_limit():
    assert output({"max_tokens": 7}, 1000, FORMATS["gemini.generate"]) == 1000
    assert output({"max_tokens": 7}, 1000, CHAT._replace(output_limits=None)) == 1000


@pytest.mark.parametrize(
    ("name", "limit", "answers"),
    [
        ("openai.chat", {"max_tokens": 7}, {"n": 3}),
        ("openai.completions", {"max_tokens": 7}, {"best_of": 3, "n": 2}),
        ("cohere.v1.chat", {"max_tokens": 7}, {"num_generations": 3}),
        ("gemini.generate", {}, {"generationConfig": {"candidateCount": 3, "maxOutputTokens": 7}}),
        ("vertex.predict", {}, {"parameters": {"candidateCount": 3, "maxOutputTokens": 7}}),
    ],
)
def test_several_answers(name, limit, answers):
    assert output({**limit, **answers}, None, FORMATS[name]) == 21


@pytest.mark.parametrize("bound", [None, 0, -1, "7", 1.5, {}, []])
def test_without_a_bound_it_is_the_model_s_maximum(bound):
    assert output({"max_tokens": bound}, 1000) == 1000
    assert output({"max_tokens": bound}) == UNKNOWN_WINDOW


@pytest.mark.parametrize("body", [b"", b"not json", b"[1]", b'{"options": 3, "max_tokens": "x"}', b"\xff"])
def test_a_body_that_says_nothing(body):
    assert worst_case(OUTPUT_ONLY, CHAT, body, 50).cost / PER_MILLION == 50


def test_a_prompt_is_at_most_its_bytes():
    body = json.dumps({"messages": [{"role": "user", "content": "ä" * 100}]}, ensure_ascii=False).encode()
    assert worst_case(INPUT_ONLY, CHAT, body, 10).cost / PER_MILLION == len(body) > 200


def test_what_the_request_refers_to_elsewhere_may_fill_the_window():
    body = b'{"messages": [{"content": [{"type": "image_url", "image_url": {"url": "https://example.com/a"}}]}]}'
    assert worst_case(INPUT_ONLY, CHAT, body, 5000).cost / PER_MILLION == 5000


def test_the_dearest_of_each_kind_and_the_tier_count():
    cheap = {"input": 1, "cache_write": 5, "output": 10, "reasoning": 20, "web_search": 1000}
    price = Price(cheap, ((10, {**cheap, "cache_write": 7}),))
    assert worst_case(price, CHAT, b'{"max_tokens":3}', None).cost == 16 * 7 + 3 * 20
    searching = b'{"max_tokens":3,"tools":[{"type":"web_search"}]}'
    assert worst_case(price, CHAT, searching, None).cost == len(searching) * 7 + 3 * 20 + MOST_SEARCHES * 1000


@pytest.mark.parametrize("tool", ["web_search_preview", "file_search", "google_search", "googleSearch", "google_maps"])
def test_every_tool_that_is_billed_by_piece_counts(tool):
    body = b'{"max_tokens":3,"tools":[{"type":"%s"}]}' % tool.encode()
    price = Price({"output": 10, "web_search": 1000, "file_search": 200}, request_fee=7)
    assert worst_case(price, CHAT, body, None).cost == 3 * 10 + MOST_SEARCHES * 1000 + 7


# media inside the request


def png(width, height):
    """The start of a PNG of this size: a few bytes, however many tokens it is."""
    return b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big")).decode()


def pdf(pages):
    return b64encode(b"%PDF-1.7 " + b"/Type /Page " * pages).decode()


def anthropic(data, kind="image", media_type="image/png"):
    source = {"type": "base64", "media_type": media_type, "data": data}
    return {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": [{"type": kind, "source": source}]}]}


def gemini(data, media_type="image/png"):
    return {"contents": [{"parts": [{"inlineData": {"mimeType": media_type, "data": data}}]}]}


def bedrock(data):
    return {"messages": [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": data}}}]}]}


@pytest.mark.parametrize(
    ("format", "request_body", "names", "tokens"),
    [
        ("anthropic.messages", anthropic(png(1092, 1092)), (), 1590),
        ("anthropic.messages", anthropic(png(8000, 8000)), (), 1600),
        ("anthropic.messages", anthropic(png(0, 0)), (), 1600),
        ("anthropic.messages", anthropic(pdf(20), "document", "application/pdf"), (), 20 * 1700),
        ("anthropic.messages", anthropic(pdf(0), "document", "application/pdf"), (), 50_000),
        ("gemini.generate", gemini(png(3000, 3000)), ("gemini-2.5-flash",), 16 * 258),
        ("gemini.generate", gemini(png(3000, 3000)), (), 16 * 258),
        ("gemini.generate", gemini(png(0, 0)), ("gemini-2.5-flash",), 16 * 258),
        ("gemini.generate", gemini(pdf(30), "application/pdf"), ("gemini-2.5-flash",), 30 * 258),
        ("bedrock.converse", bedrock(png(1092, 1092)), ("anthropic.claude-sonnet-4-5",), 1590),
        (
            "openai.chat",
            {"model": "x", "messages": [{"role": "user", "content": "?", "images": [png(2048, 768)]}]},
            (),
            85 + 8 * 170,
        ),
    ],
)
def test_media_in_the_request_are_bounded_by_their_providers_formulas(format, request_body, names, tokens):
    body = json.dumps(request_body).encode()
    assert worst_case(INPUT_ONLY, FORMATS[format], body, 50_000, *names).cost / PER_MILLION >= tokens
    assert worst_case(INPUT_ONLY, FORMATS[format], body, 50_000, *names).cost / PER_MILLION <= tokens + len(body) + 1


@pytest.mark.parametrize("data", ["", "%%%", "AAAA", 5, None, ["x"], b64encode(b"plain text").decode()])
def test_media_that_cannot_be_read_are_their_bytes(data):
    body = json.dumps(anthropic(data)).encode()
    assert len(body) <= worst_case(INPUT_ONLY, CHAT, body, 50_000).cost / PER_MILLION <= len(body) + 1600


def test_the_most_output_for_an_amount():
    worst = WorstCase(100, 7, 50)
    assert worst.cost == 450
    assert [worst.output_for(amount) for amount in (99, 106, 107, 113, 114, 450)] == [None, None, 1, 1, 2, 50]
    assert WorstCase(100, 0, 50).output_for(1000) is None
