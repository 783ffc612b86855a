"""Estimates of tokens: what the parts of a request and of an answer count for, and how far off it is."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64encode
from hashlib import blake2b
from pathlib import Path
from struct import pack

import pytest
from support import shared
from support.provider_answers import event, sse

from llmmetrics import wire
from llmmetrics.wire.estimation import media
from llmmetrics.wire.estimation.estimate import VERSION, completion_tokens, prompt_tokens, text_tokens
from llmmetrics.wire.framing.body_buffer import TAIL, keep

ROOT = Path(__file__).resolve().parents[4]
PROSE = "The quick brown fox jumps over the lazy dog, and the dog does not mind at all. " * 10


FORMATS = {each.id: each for each in wire.FORMATS}


def prompt(fields, api="openai.chat", model=None):
    return prompt_tokens(json.dumps(fields).encode(), FORMATS[api], model)


def completion(answer, api="openai.chat", model=None):
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return completion_tokens(keep(body), FORMATS[api], model)


def test_the_documented_errors_are_what_the_command_measures():
    corpus = shared("corpus/dev.jsonl.gz")
    script = ROOT / "benchmarks/estimates.py"
    done = subprocess.run([sys.executable, script, corpus], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in (ROOT / "docs/estimates.md").read_text()


def test_other_estimates_are_another_version():
    """A baseline's estimates are compared with those of the same `VERSION` alone."""
    texts = ("", PROSE, "天地玄黄宇宙洪荒", "Привет, мир!", "café 🙂 12,345", '{"a": [1, 2]}')
    sizes = [(0, 0), (100, 50), (1024, 1024), (4000, 300)]
    png = [b"\x89PNG\r\n\x1a\n" + pack(">I4sII", 13, b"IHDR", *size) for size in sizes]
    images = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{b64encode(each).decode()}"}} for each in png
    ]
    found = []
    for api, model in (
        ("openai.chat", "gpt-4o"),
        ("openai.chat", "gpt-4o-mini"),
        ("anthropic.messages", "claude-sonnet-4-5"),
        ("gemini.generate", "gemini-2.5-flash"),
    ):
        contents = [*texts, *([each] for each in images)]
        (name,) = FORMATS[api].prompt_names.messages
        found += [prompt({name: [{"role": "user", "content": each}]}, api, model) for each in contents]
        answers = [{"choices": [{"message": {"content": each}}]} for each in texts]
        found += [completion(each, api, model) for each in answers]
    digest = blake2b(repr(found).encode(), digest_size=8).hexdigest()
    assert (VERSION, digest) == (2, "47605373a526dbde"), "raise VERSION, and put both here"


def test_prose_is_about_four_characters_a_token():
    # 17 common words and 2 marks a sentence, each of them a token at OpenAI
    assert text_tokens(PROSE) == pytest.approx(190, rel=0.15)
    assert text_tokens("") == 0


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [("天地玄黄宇宙洪荒" * 10, 48, 120), ("Привет, мир! " * 10, 30, 80), ("🙂" * 10, 10, 40), ("\ud800" * 4, 0, 8)],
)
def test_other_scripts_take_more_tokens_a_character(text, low, high):
    assert low <= text_tokens(text) <= high


def test_token_ids_are_counted_as_they_are():
    assert prompt({"input": [[1, 2, 3], [4, 5]]}, "openai.embeddings") == 5
    assert prompt({"prompt": [1, 2, 3]}, "openai.completions") == 3


def test_a_batch_of_embeddings_is_the_sum_of_its_texts():
    one, four = (prompt({"input": [PROSE] * n}, "openai.embeddings") for n in (1, 4))
    assert four == pytest.approx(4 * one, abs=4)
    assert completion({"data": [{"embedding": [0.1] * 9}]}, "openai.embeddings") == 0
    documents = [{"document": {"text": PROSE}, "relevance_score": 0.9}]
    assert completion({"results": documents}, "rerank") == 0


def test_a_reranker_reads_the_query_with_each_document():
    alone = prompt({"query": PROSE, "documents": [PROSE]}, "rerank")
    assert prompt({"query": PROSE, "documents": [PROSE] * 3}, "rerank") == pytest.approx(3 * alone, abs=3)


def test_tools_count_by_their_schema_and_by_what_the_family_adds():
    schema = {"type": "object", "properties": {"city": {"type": "string", "description": "Which city"}}}
    messages = [{"role": "user", "content": "?"}]
    tools = [{"name": "weather", "description": "The weather in a city", "input_schema": schema}]
    bare = prompt({"messages": messages}, "anthropic.messages", "claude-sonnet-4-5")
    told = prompt({"messages": messages, "tools": tools}, "anthropic.messages", "claude-sonnet-4-5")
    # https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/overview: 346 for having any, without their own text
    assert 346 < told - bare < 700
    functions = {"tools": [{"functionDeclarations": [{"name": "a", "parameters": schema}] * 3}]}
    one = {"tools": [{"functionDeclarations": [{"name": "a", "parameters": schema}]}]}
    assert prompt(functions, "gemini.generate") > prompt(one, "gemini.generate") > 0


def test_arguments_inside_messages_are_read_as_json():
    use = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"a_long_name_of_an_argument": 1}}
    short = {**use, "input": {}}
    long, bare = (prompt({"messages": [{"role": "assistant", "content": [each]}]}) for each in (use, short))
    assert long > bare + 3


def png(width, height):
    return b"\x89PNG\r\n\x1a\n" + pack(">I4sII", 13, b"IHDR", width, height) + bytes(9)


IMAGES = {
    "png": png(800, 600),
    "gif": b"GIF89a" + pack("<HH", 800, 600) + bytes(9),
    "jpeg": b"\xff\xd8\xff\xe0" + pack(">H", 6) + b"JFIF" + b"\xff\xc0" + pack(">HBHH", 17, 8, 600, 800) + bytes(9),
    "webp": b"RIFF\0\0\0\0WEBPVP8 " + bytes(10) + pack("<HH", 800, 600),
    "lossless": b"RIFF\0\0\0\0WEBPVP8L" + bytes(5) + pack("<I", 799 | 599 << 14),
    "extended": b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + pack("<HBHB", 799, 0, 599, 0),
}


@pytest.mark.parametrize("start", IMAGES.values(), ids=IMAGES)
def test_an_images_size_stands_in_its_header(start):
    assert media.dimensions(start) == (800, 600)
    for end in range(len(start)):
        assert media.dimensions(start[:end]) in ((0, 0), (800, 600))


def shown(kind, image):
    """A request with an image, in the shape of each format."""
    encoded = b64encode(image).decode()
    parts = {
        "openai.chat": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}},
        "openai.responses": {"type": "input_image", "image_url": f"data:image/png;base64,{encoded}"},
        "anthropic.messages": {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": encoded},
        },
        "gemini.generate": {"inlineData": {"mimeType": "image/png", "data": encoded}},
        "bedrock.converse": {"image": {"format": "png", "source": {"bytes": encoded}}},
    }
    (name,) = FORMATS[kind].prompt_names.messages
    return {name: [{"role": "user", "content": [parts[kind]]}]}


@pytest.mark.parametrize(
    ("api", "model", "expected"),
    [
        # https://platform.openai.com/docs/guides/images-vision: 1024 by 1024 is four tiles, 765 tokens
        ("openai.chat", "gpt-4o", 765),
        ("openai.responses", "gpt-4o", 765),
        ("openai.chat", "gpt-4o-mini", 25501),
        # https://docs.anthropic.com/en/docs/build-with-claude/vision: 1000 by 1000 is about 1334 tokens
        ("anthropic.messages", "claude-sonnet-4-5", 1398),
        ("bedrock.converse", "anthropic.claude-3-haiku-20240307-v1:0", 1398),
        # https://ai.google.dev/gemini-api/docs/image-understanding: two by two crops of 258
        ("gemini.generate", "gemini-2.5-flash", 4 * 258),
    ],
)
def test_an_image_counts_by_its_providers_own_rule(api, model, expected):
    found = prompt(shown(api, png(1024, 1024)), api, model)
    assert 0 <= found - expected < 20


def test_media_of_any_claimed_size_stay_within_reason():
    absurd = [png(2**32 - 1, 1), png(2**32 - 1, 2**32 - 1), png(0, 5), b"RIFF\1\0\0\0WAVEfmt " + bytes(40)]
    for kind in ("openai.chat", "anthropic.messages", "gemini.generate"):
        for image in absurd:
            assert prompt(shown(kind, image), kind) < 10_000


def test_sounds_documents_and_text_files():
    # a second of 16 kHz, 16 bit; https://ai.google.dev/gemini-api/docs/audio: 32 tokens a second
    wav = b"RIFF\0\0\0\0WAVEfmt " + pack("<IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16) + bytes(32000 * 10)
    heard = {"contents": [{"parts": [{"inlineData": {"mimeType": "audio/wav", "data": b64encode(wav).decode()}}]}]}
    assert prompt(heard, "gemini.generate") == pytest.approx(320, abs=4)
    pdf = b"%PDF-1.4 " + b"<< /Type /Page >> " * 3 + b"<< /Type /Pages >>"
    paged = {
        "contents": [{"parts": [{"inlineData": {"mimeType": "application/pdf", "data": b64encode(pdf).decode()}}]}]
    }
    assert prompt(paged, "gemini.generate") == pytest.approx(3 * 258, abs=4)
    source = {"type": "base64", "media_type": "text/plain", "data": b64encode(PROSE.encode()).decode()}
    said = {"messages": [{"role": "user", "content": [{"type": "document", "source": source}]}]}
    assert prompt(said, "anthropic.messages") == pytest.approx(200, rel=0.2)


def test_files_that_are_elsewhere_count_as_their_usual_size():
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a"}}
    assert prompt({"messages": [{"content": [image]}]}, "openai.chat") == pytest.approx(765, abs=10)
    film = {"fileData": {"fileUri": "https://youtu.be/x", "mimeType": "video/mp4"}}
    assert prompt({"contents": [{"parts": [film]}]}, "gemini.generate") > 5000
    link = {"type": "tool_result", "content": [{"type": "text", "text": "see", "url": "https://example.com/page"}]}
    assert prompt({"messages": [{"content": [link]}]}, "anthropic.messages") < 50


CALLED = {
    "openai.chat": {"message": {"tool_calls": [{"function": {"name": "weather", "arguments": '{"city":"Berlin"}'}}]}},
    "anthropic.messages": {"content": [{"type": "tool_use", "name": "weather", "input": {"city": "Berlin"}}]},
    "gemini.generate": {"parts": [{"functionCall": {"name": "weather", "args": {"city": "Berlin"}}}]},
    "bedrock.converse": {"content": [{"toolUse": {"toolUseId": "t", "name": "weather", "input": {"city": "Berlin"}}}]},
    "cohere.v1.chat": {"tool_calls": [{"name": "weather", "parameters": {"city": "Berlin"}}]},
}


@pytest.mark.parametrize(("api", "answer"), CALLED.items(), ids=CALLED)
def test_a_call_of_a_tool_counts_by_its_name_and_arguments(api, answer):
    assert 5 < completion(answer, api) < 60


def test_nothing_that_passes_twice_counts_twice():
    deltas = [{"type": "response.output_text.delta", "delta": PROSE}]
    done = [
        {"type": "response.output_text.done", "text": PROSE},
        {"type": "response.output_item.done", "item": {"content": [{"type": "output_text", "text": PROSE}]}},
        {"type": "response.completed", "response": {"output": [{"content": [{"text": PROSE}]}]}},
    ]
    assert completion(sse(*deltas, *done), "openai.responses") == completion(sse(*deltas), "openai.responses")
    message = {
        "content": PROSE,
        "reasoning": "a b",
        "reasoning_details": [{"text": "a b"}],
        "annotations": [{"text": "a"}],
    }
    bare = {"content": PROSE, "reasoning": "a b"}
    assert completion({"choices": [{"message": message}]}) == completion({"choices": [{"message": bare}]})
    echoed = {"output": [{"content": [{"text": PROSE}]}], "instructions": PROSE, "tools": [{"content": PROSE}]}
    assert completion(echoed) == completion({"output": [{"content": [{"text": PROSE}]}]})


def test_what_a_server_read_is_not_what_the_model_wrote():
    result = {"type": "web_search_tool_result", "content": [{"title": PROSE, "text": PROSE}]}
    text, api = {"type": "text", "text": "Found."}, "anthropic.messages"
    assert completion({"content": [result, text]}, api) == completion({"content": [text]}, api)


@pytest.mark.parametrize("whole", [30 * TAIL, TAIL // 2], ids=["long", "short"])
def test_of_a_stream_that_was_cut_what_passed_counts(whole):
    chunk = sse({"choices": [{"delta": {"content": PROSE}}]})
    answer = (chunk * (whole // len(chunk)))[:-30]
    expected = text_tokens(PROSE) * len(answer) / len(chunk)
    # the last event is torn
    assert 0.97 * expected - 1.5 * text_tokens(PROSE) < 1.03 * completion(answer, "openai.chat") < 1.06 * expected


def test_bedrocks_frames_are_text_too():
    frames = event("contentBlockDelta", {"delta": {"text": PROSE}}) * 2
    assert completion(frames, "bedrock.converse") == pytest.approx(2 * text_tokens(PROSE), rel=0.05)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"[]", b'{"messages": 1}', b"\xff\xfe", b'{"messages": [[[{}]]]}']
)
def test_requests_that_are_no_requests(body):
    assert prompt_tokens(body, FORMATS["openai.chat"], "m") < 20
