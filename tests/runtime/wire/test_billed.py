"""What is billed and is not text in, text out: its usage, and what it costs by the providers' price pages."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from support.provider_answers import read, sse

from llmmetrics import read_exchange
from llmmetrics.wire.framing import multipart

OPENAI = "https://api.openai.com/v1"
GOOGLE = "https://generativelanguage.googleapis.com/v1beta/models"


def form(**fields):
    """A request with an upload, the text fields first, as httpx writes it."""
    parts = [f'--b\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
    upload = '--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n--b--\r\n'
    return ("".join(parts) + upload).encode()


def exchange(url, asked, answer):
    return read_exchange(
        method="POST",
        url=url,
        request_headers=[],
        request_body=asked if isinstance(asked, bytes) else json.dumps(asked).encode(),
        status=200,
        response_headers=[],
        response_body=answer if isinstance(answer, bytes) else json.dumps(answer).encode(),
    )


DREW = {"input_tokens": 50, "input_tokens_details": {"text_tokens": 10, "image_tokens": 40}, "output_tokens": 1000}
HEARD = {"input_tokens": 14, "input_token_details": {"text_tokens": 4, "audio_tokens": 10}, "output_tokens": 45}
SAID = {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}
DECIDED = {"input_tokens": 10, "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 2}}
ASKED = {"prompt_tokens": 189, "completion_tokens": 267, "total_tokens": 724, "connector_tokens": 268}

# of each: where, what was asked, the answer, the buckets and the USD; None: unknown
CALLS = {
    "image by tokens": (
        f"{OPENAI}/images/generations",
        {"model": "gpt-image-2", "prompt": "cat"},
        {"data": [{"b64_json": "x"}], "usage": DREW},
        ({"input": 10, "input_image": 40, "output_image": 1000}, "0.03037"),
    ),
    "image by tokens, streamed": (
        f"{OPENAI}/images/edits",
        form(model="gpt-image-2", prompt="cat", stream="true"),
        sse({"type": "image_edit.partial_image", "b64_json": "x"}, {"type": "image_edit.completed", "usage": DREW}),
        ({"input": 10, "input_image": 40, "output_image": 1000}, "0.03037"),
    ),
    "image with a vector": (
        f"{OPENAI}/images/generations",
        {"model": "gpt-image-2", "prompt": "cat"},
        {
            "data": [],
            "usage": {**DREW, "output_tokens": 0},
            "svg_usage": {"model": "gpt-5.6-luna", "input_tokens": 100, "output_tokens": 0},
        },
        ({"input": 110, "input_image": 40}, "0.00039"),
    ),
    "image by piece": (
        f"{OPENAI}/images/generations",
        {"model": "dall-e-3", "prompt": "cat", "quality": "hd", "size": "1792x1024"},
        {"created": 1, "data": [{"url": "x"}]},
        ({"image": 1}, "0.12"),
    ),
    "several images": (
        f"{OPENAI}/images/variations",
        form(model="dall-e-2", n="3", size="512x512"),
        {"created": 1, "data": [{"url": "x"}] * 3},
        ({"image": 3}, "0.054"),
    ),
    "image of a model without a price": (
        "https://api.together.ai/v1/images/generations",
        {"model": "black-forest-labs/FLUX.1-schnell", "prompt": "cat", "n": 2},
        {"data": [{"url": "x"}] * 2},
        ({"image": 2}, None),
    ),
    "image whose usage is missing": (
        f"{OPENAI}/images/generations",
        {"model": "gpt-image-2", "prompt": "cat"},
        {"data": [{"b64_json": "x"}]},
        (None, None),
    ),
    "transcription by tokens": (
        f"{OPENAI}/audio/transcriptions",
        form(model="gpt-4o-transcribe"),
        {"text": "hi", "usage": HEARD},
        ({"input": 4, "input_audio": 10, "output": 45}, "0.00052"),
    ),
    "transcription by seconds": (
        f"{OPENAI}/audio/translations",
        form(model="whisper-1"),
        {"text": "hi", "usage": {"type": "duration", "seconds": 12}},
        ({"audio_ms": 12_000}, "0.0012"),
    ),
    "transcription, streamed": (
        f"{OPENAI}/audio/transcriptions",
        form(model="gpt-4o-transcribe", stream="true"),
        sse({"type": "transcript.text.delta", "delta": "hi"}, {"type": "transcript.text.done", "usage": HEARD}),
        ({"input": 4, "input_audio": 10, "output": 45}, "0.00052"),
    ),
    "transcription with its length": (
        f"{OPENAI}/audio/transcriptions",
        form(model="whisper-1"),
        {"text": "hi", "duration": 8.5, "segments": []},
        ({"audio_ms": 8500}, "0.00085"),
    ),
    "transcription as text": (f"{OPENAI}/audio/transcriptions", form(model="whisper-1"), b"hi there", (None, None)),
    "transcription of ten seconds at least": (
        "https://api.groq.com/openai/v1/audio/transcriptions",
        form(model="whisper-large-v3-turbo"),
        {"text": "hi", "duration": 3.2, "x_groq": {"id": "req_1"}},
        ({"audio_ms": 10_000}, "0.00011111111111"),
    ),
    "transcription whose tokens are free": (
        "https://api.mistral.ai/v1/audio/transcriptions",
        form(model="voxtral-mini-2602"),
        {
            "text": "hi",
            "usage": {
                "prompt_audio_seconds": 36,
                "prompt_tokens": 4,
                "completion_tokens": 6,
                "total_tokens": 10,
            },
        },
        ({"input": 4, "output": 6}, "0.0018"),
    ),
    "speech by characters": (
        f"{OPENAI}/audio/speech",
        {"model": "tts-1-hd", "input": "héllo" * 100, "voice": "nova"},
        b"\xff\xfbID3",
        ({"character": 500}, "0.015"),
    ),
    "speech by tokens": (
        f"{OPENAI}/audio/speech",
        {"model": "gpt-4o-mini-tts", "input": "hi", "stream_format": "sse"},
        sse({"type": "speech.audio.delta", "audio": "xx"}, {"type": "speech.audio.done", "usage": SAID}),
        ({"input": 14, "output": 101}, "0.0012204"),
    ),
    "speech that nothing counts": (
        f"{OPENAI}/audio/speech",
        {"model": "gpt-4o-mini-tts", "input": "hi"},
        b"\xff\xfbID3",
        ({"character": 2}, None),
    ),
    "film": (
        f"{OPENAI}/videos",
        form(model="sora-2-pro", seconds="8", size="1024x1792"),
        {"id": "v", "status": "queued", "model": "sora-2-pro", "seconds": "8", "size": "1024x1792"},
        ({"video_second": 8}, "4"),
    ),
    "film made of another": (
        f"{OPENAI}/videos/video_1/remix",
        {"prompt": "at night"},
        {"id": "v", "status": "queued", "model": "sora-2", "seconds": "4", "size": "1280x720"},
        ({"video_second": 4}, "0.4"),
    ),
    "film that could not be made": (
        f"{OPENAI}/videos",
        form(model="sora-2", seconds="8"),
        {"id": "v", "status": "failed", "model": "sora-2", "seconds": "8", "size": "720x1280"},
        ({}, "0"),
    ),
    "pages": (
        "https://api.mistral.ai/v1/ocr",
        {"model": "mistral-ocr-2512", "document": {}},
        {"pages": [], "model": "mistral-ocr-2512", "usage_info": {"pages_processed": 3}},
        ({"page": 3}, "0.006"),
    ),
    "pages with annotations": (
        "https://api.mistral.ai/v1/ocr",
        {"model": "mistral-ocr-2512", "bbox_annotation_format": {"type": "json_schema"}},
        {"pages": [], "model": "mistral-ocr-2512", "usage_info": {"pages_processed": 3}},
        ({"annotated_page": 3}, "0.009"),
    ),
    "conversation": (
        "https://api.mistral.ai/v1/conversations",
        {"model": "mistral-large-2512", "inputs": "hi"},
        {"conversation_id": "c", "outputs": [], "usage": ASKED},
        ({"input": 457, "output": 267}, "0.000629"),
    ),
    "conversation, streamed, with a search": (
        "https://api.mistral.ai/v1/conversations/c/restart",
        {"model": "mistral-large-2512", "inputs": "hi", "stream": True},
        sse(
            {"type": "message.output.delta", "content": "a"},
            {"type": "conversation.response.done", "usage": {**ASKED, "connectors": {"web_search": 1}}},
        ),
        ({"input": 457, "output": 267, "web_search": 1}, None),
    ),
    "decision": (
        f"{OPENAI}/decisions",
        {"model": "gpt-6-luna", "input": "i", "questions": []},
        {"answers": [], "model": "gpt-6-luna", "usage": DECIDED},
        ({"input": 10, "output": 3, "reasoning": 2}, "0.0000035"),
    ),
    "decision of Gemini": (
        "https://generativelanguage.googleapis.com/v1beta/decisions",
        {"model": "gemini-2.5-flash", "questions": {}},
        {"answers": {}, "usage": {"total_input_tokens": 10, "total_output_tokens": 1}},
        ({"input": 10, "output": 1}, "0.0000055"),
    ),
    "decision at home": (
        "http://localhost:11434/v1/systemone",
        {"model": "m", "questions": {}},
        {"model": "m", "answers": {}, "usage": {"input_tokens": 10, "output_tokens": 1}},
        ({"input": 10, "output": 1}, None),
    ),
    "images of Google": (
        f"{GOOGLE}/imagen-4.0-ultra-generate-001:predict",
        {"instances": [{"prompt": "cat"}], "parameters": {"sampleCount": 2}},
        {"predictions": [{"bytesBase64Encoded": "x"}] * 2},
        ({"image": 2}, "0.12"),
    ),
    "film of Google": (
        f"{GOOGLE}/veo-3.1-generate-preview:predictLongRunning",
        {"instances": [{}], "parameters": {"durationSeconds": 6, "resolution": "4k"}},
        {"name": "operations/1"},
        ({"video_second": 6}, "3.6"),
    ),
    "job": (f"{OPENAI}/fine_tuning/jobs", {"model": "gpt-4o-mini"}, {"id": "ftjob"}, (None, None)),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_is_billed(name):
    url, asked, answer, (buckets, usd) = CALLS[name]
    seen = exchange(url, asked, answer)
    assert seen.api is not None
    assert (seen.usage and dict(seen.usage.buckets)) == buckets
    assert seen.cost_usd == (usd and Decimal(usd))


LARGE = "x" * 300_000
DRAWN = {"b64_json": LARGE}


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"created": 1, "data": [DRAWN], "usage": DREW}).encode(),
        json.dumps({"created": 1, "usage": DREW, "data": [DRAWN]}).encode(),
        sse(
            {"type": "image_generation.partial_image", **DRAWN},
            {"type": "image_generation.completed", **DRAWN, "usage": DREW},
        ),
    ],
    ids=["usage last", "usage first", "streamed"],
)
def test_an_image_that_is_not_kept_whole(body):
    seen = exchange(f"{OPENAI}/images/generations", {"model": "gpt-image-2", "prompt": "cat"}, body)
    assert (seen.usage.prompt, seen.usage.completion, seen.cost_usd) == (50, 1000, Decimal("0.03037"))


def test_a_conversation_that_openai_stores_is_free():
    assert read(f"{OPENAI}/conversations", {"id": "conv_1", "object": "conversation"}).api is None


@pytest.mark.parametrize("seconds", [-1, "12", True, 1e300, None])
def test_a_length_that_cannot_be_is_no_usage(seconds):
    seen = exchange(
        f"{OPENAI}/audio/transcriptions", form(model="whisper-1"), {"text": "", "usage": {"seconds": seconds}}
    )
    assert (seen.usage, seen.cost_usd) == (None, None)


def test_the_text_fields_of_a_form():
    assert multipart.fields(form(model="m", n="2")) == {"model": "m", "n": "2", "file": ""}
    # what follows the upload is read too, as far as the first bytes have it
    late = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n' + form(model="m")
    assert multipart.fields(late)["model"] == "m"
    assert multipart.fields(b"--b\r\n" + b"x" * multipart.MOST + form(model="m")) == {}


@pytest.mark.parametrize(
    "body", [b"--", b"--b", b"--b\r\n", b"--b\r\n\r\n--b--", b"--\xff\r\nname=\r\n\r\nx\r\n--\xff"]
)
def test_a_broken_form_has_no_fields(body):
    assert multipart.fields(body) == {}
