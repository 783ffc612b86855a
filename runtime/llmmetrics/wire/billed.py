"""What is billed and is not text in, text out: images, sound, films, pages, conversations, decisions.

https://platform.openai.com/docs/api-reference, https://docs.mistral.ai/api, https://ai.google.dev/api; a comment marks
other sources.
"""

from __future__ import annotations

import re
from math import ceil
from typing import Any, Final

from llmmetrics.wire import gemini, interactions, openai
from llmmetrics.wire.format import (
    FREE,
    NO_COMPLETION,
    Billing,
    Charge,
    Format,
    MalformedUsageError,
    PromptNames,
    Reading,
    count,
    items,
    mapping,
    text,
    wire_cost,
)
from llmmetrics.wire.framing.frames import Doc
from llmmetrics.wire.hosted_tools import image_tokens, plus
from llmmetrics.wire.usage import Usage, add, usage_of

_DEPLOYMENT = r"(?:/deployments/(?P<model>[^/]+))?"
_DIGITS = re.compile(r"\d{1,6}")


def _number(value: Any, otherwise: int) -> int:
    """Return a whole number that a request says, as a number or as text."""
    said = str(value)
    return int(said) if _DIGITS.fullmatch(said) else otherwise


def _name(*parts: Any) -> str | None:
    """The name of a price that depends on more than the model."""
    return "/".join(map(str, parts)) if parts[0] else None


# images


def _images(body: Doc) -> Reading:
    used, vector = mapping(body.get("usage")), mapping(body.get("svg_usage"))
    usage = image_tokens(used) if "input_tokens" in used or "output_tokens" in used else None
    charges: tuple[Charge, ...] = ()
    if usage is not None and vector:
        drawn = openai.tokens(vector)
        charges = (Charge(None, usage), Charge(text(vector.get("model")), drawn))
        usage = add((usage, drawn))
    return Reading(text(body.get("model")), usage, charges, wire_cost(used), body.get("error"))


_BY_TOKENS = re.compile("gpt-image|chatgpt-image|gpt-.*-image")


def _image_pieces(asked: Doc, usage: Usage | None) -> tuple[Charge, ...]:
    model = str(asked.get("model") or "")
    if usage is not None or _BY_TOKENS.search(model):
        return ()
    name: str | None = None
    if model.startswith("dall-e"):
        quality = (asked.get("quality") or "standard",) if model.startswith("dall-e-3") else ()
        name = _name(model, *quality, asked.get("size") or "1024x1024")
    return (Charge(name, usage_of({"image": _number(asked.get("n"), 1)})),)


MOST_IMAGE_TOKENS: Final = 16_384
"""Output tokens of one image: the dearest that https://developers.openai.com/api/docs/guides/image-generation lists has
6,240, and newer models take larger sizes."""

_SEVERAL: Final = 16
"""Images that a form sends under a name for several."""

_INPUT_IMAGE_TOKENS: Final = 6_240


def _sent_images(asked: Doc) -> int:
    if "image[]" in asked:
        return _SEVERAL
    return len(items(asked.get("images"))) + sum(name in asked for name in ("image", "mask"))


def _image_bound(asked: Doc, _: int) -> tuple[Charge, ...]:
    pieces = _image_pieces(asked, None)
    if pieces and pieces[0].model:
        return pieces
    # of a model of another name only its price says whether it is billed by image or by token
    most = {
        "image": _number(asked.get("n"), 1),
        "input": len(str(asked.get("prompt") or "").encode()),
        "input_image": _sent_images(asked) * _INPUT_IMAGE_TOKENS,
        "output_image": _number(asked.get("n"), 1) * MOST_IMAGE_TOKENS,
    }
    return (Charge(None, usage_of(most)),)


def _google_media(asked: Doc, _: object = None) -> tuple[Charge, ...]:
    """Images and films that Google's models are asked for: no answer counts them."""
    parameters, model = mapping(asked.get("parameters")), str(asked.get("model"))
    n = parameters.get("sampleCount")
    if model.startswith("imagen"):
        # https://ai.google.dev/gemini-api/docs/imagen: 1 to 4, the default is 4
        return (Charge(None, usage_of({"image": _number(n, 4)})),)
    if not model.startswith("veo"):
        return ()
    # https://ai.google.dev/gemini-api/docs/video
    seconds = _number(n, 1) * _number(parameters.get("durationSeconds"), 8)
    silent = ("silent",) if parameters.get("generateAudio") is False else ()
    name = _name(model, parameters.get("resolution") or "720p", *silent)
    return (Charge(name, usage_of({"video_second": seconds})),)


# films


def _film(body: Doc) -> Reading:
    """What a job says of its film. A job that failed is not billed."""
    model, seconds = text(body.get("model")), _number(body.get("seconds"), 0)
    error = body.get("error")
    if body.get("status") == "failed":
        return FREE._replace(model=model, error=error)
    if not seconds:
        return Reading(model, error=error)
    usage = usage_of({"video_second": seconds})
    return Reading(model, usage, (Charge(_name(model, body.get("size")), usage),), error=error)


def _film_bound(asked: Doc, _: int) -> tuple[Charge, ...]:
    if not asked.get("model") and not asked.get("seconds"):
        # a remix is as long as its original
        return ()
    model, size = asked.get("model") or "sora-2", asked.get("size") or "720x1280"
    return (Charge(_name(model, size), usage_of({"video_second": _number(asked.get("seconds"), 4)})),)


# sound


def _milliseconds(seconds: Any) -> int:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 10**6:
        raise MalformedUsageError
    return ceil(seconds * 1000)


def _heard(body: Doc) -> Reading:
    """Read a transcription: by tokens, or by the length of the sound."""
    used = mapping(body.get("usage"))
    model, error = text(body.get("model")), body.get("error")
    length = next((each for each in (used.get("prompt_audio_seconds"), used.get("seconds")) if each is not None), None)
    if length is None and not used:
        length = body.get("duration")
    counted = None
    if used.get("input_tokens") is not None or used.get("prompt_tokens") is not None:
        details = used.get("input_token_details") or used.get("input_tokens_details")
        counted = openai.tokens({**used, "input_tokens_details": details})
    if length is None:
        return Reading(model, counted, (), wire_cost(used), error)
    # https://console.groq.com/docs/speech-to-text: ten seconds at least
    least = 10_000 if "x_groq" in body else 0
    heard = usage_of({"audio_ms": max(_milliseconds(length), least)})
    # of Mistral's transcriptions the length alone is billed
    return Reading(model, counted or heard, (Charge(None, heard),), wire_cost(used), error)


_BYTES_A_SECOND: Final = 500
"""Of the most compressed speech: 4 kbit/s."""

_TOKENS_A_SECOND: Final = 20
"""Of sound, and as many of the words that are said in it."""


_ELSEWHERE = ("url", "file_url", "file_id")
"""Names of sounds that are not in the request."""

_LARGEST: Final = 1 << 30
"""Bytes: more than https://docs.mistral.ai/capabilities/audio and the others take."""


def _heard_bound(asked: Doc, size: int) -> tuple[Charge, ...]:
    if any(name in asked for name in _ELSEWHERE):
        size = _LARGEST
    seconds = ceil(size / _BYTES_A_SECOND)
    tokens = seconds * _TOKENS_A_SECOND
    return (Charge(None, usage_of({"audio_ms": seconds * 1000, "input_audio": tokens, "output": tokens})),)


def _spoken(body: Doc) -> Reading:
    used = mapping(body.get("usage"))
    known = used.get("input_tokens") is not None or used.get("prompt_tokens") is not None
    return Reading(usage=openai.tokens(used) if known else None, wire_cost=wire_cost(used), error=body.get("error"))


def _characters(asked: Doc, usage: Usage | None = None) -> tuple[Charge, ...]:
    said = asked.get("input")
    return (Charge(None, usage_of({"character": len(said)})),) if usage is None and isinstance(said, str) else ()


_MOST_SPEECH: Final = 32_768
"""Tokens of a sound: the longest text that https://developers.openai.com/api/docs/guides/text-to-speech takes, 2,000
tokens, is ten minutes at 21 tokens a second."""


def _spoken_bound(asked: Doc, size: int) -> tuple[Charge, ...]:
    charges = _characters(asked)
    if asked.get("stream_format") != "sse":
        return charges
    tokens = {"input": size, "output": _MOST_SPEECH}
    return tuple(Charge(None, usage_of({**each.usage.buckets, **tokens})) for each in charges)


# pages


def _read_pages(body: Doc) -> Reading:
    pages = mapping(body.get("usage_info")).get("pages_processed")
    usage = None if pages is None else usage_of({"page": count(pages)})
    return Reading(text(body.get("model")), usage, error=body.get("error"))


_ANNOTATES = ("document_annotation_format", "bbox_annotation_format")


def _annotated(asked: Doc, usage: Usage | None) -> tuple[Charge, ...]:
    if usage is None or not any(asked.get(name) for name in _ANNOTATES):
        return ()
    return (Charge(None, usage_of({"annotated_page": usage.buckets.get("page", 0)})),)


MOST_PAGES: Final = 1000
"""https://docs.mistral.ai/capabilities/document_ai/basic_ocr: pages of a document."""


def _page_bound(asked: Doc, _: int) -> tuple[Charge, ...]:
    chosen = asked.get("pages")
    pages = len(chosen) if isinstance(chosen, list) and chosen else MOST_PAGES
    bucket = "annotated_page" if any(asked.get(name) for name in _ANNOTATES) else "page"
    return (Charge(None, usage_of({bucket: pages})),)


# Mistral's conversations and the decisions of several


def _conversed(body: Doc) -> Reading:
    used = mapping(body.get("usage"))
    known = "prompt_tokens" in used or "completion_tokens" in used
    more = count(used.get("connector_tokens"))
    fees: dict[str, int] = {}
    for name, n in mapping(used.get("connectors")).items():
        bucket = "web_search" if name.startswith("web_search") else "tool_use"
        fees[bucket] = fees.get(bucket, 0) + count(n)
    usage = None
    if known:
        # the tokens that a connector put into the prompt are in the total alone
        usage = plus(openai.tokens({**used, "prompt_tokens": count(used.get("prompt_tokens")) + more}), fees)
    error = body if body.get("type") == "conversation.response.error" else body.get("error")
    models = (text(mapping(each).get("model")) for each in items(body.get("outputs")))
    return Reading(next(filter(None, models), None), usage, error=error)


def _decided(body: Doc) -> Reading:
    used = mapping(body.get("usage"))
    return interactions.read(body) if "total_input_tokens" in used else openai.read(body)


def _is_last(event: Doc) -> bool:
    kind = str(event.get("type"))
    return kind.endswith((".completed", ".done")) or kind == "error"


def _error_or(event: Doc) -> Doc:
    return {"error": event} if event.get("type") == "error" else event


_GOOGLE = frozenset({"google", "google-vertex"})
_OPENAI = frozenset({"openai", "azure"})


FORMATS = (
    Format(
        id="openai.images",
        vendor="openai",
        path=re.compile(_DEPLOYMENT + r"/images/(?:generations|edits|variations)/?$"),
        fields=("usage", "svg_usage", "model", "error"),
        members=("data", "created"),
        read=_images,
        part=_error_or,
        ended=_is_last,
        pieces=_image_pieces,
        bound=_image_bound,
        refusal=openai.refusal,
        output_limits=NO_COMPLETION,
        prompt_names=PromptNames(texts=("prompt",)),
        example="/v1/images/generations",
        note="tokens; of DALL·E and others by image",
    ),
    Format(
        id="openai.transcription",
        vendor="openai",
        path=re.compile(_DEPLOYMENT + r"/audio/(?:transcriptions|translations)/?$"),
        fields=("usage", "duration", "x_groq", "model", "error"),
        members=("text", "segments"),
        read=_heard,
        part=_error_or,
        ended=_is_last,
        pieces=lambda _asked, _usage: (),
        bound=_heard_bound,
        any_body=True,
        refusal=openai.refusal,
        output_limits=NO_COMPLETION,
        prompt_names=PromptNames(texts=("prompt",)),
        example="/v1/audio/transcriptions",
        note="tokens, or the length of the sound; plain text and subtitles carry neither",
    ),
    Format(
        id="openai.speech",
        vendor="openai",
        path=re.compile(_DEPLOYMENT + r"/audio/speech/?$"),
        fields=("usage", "error"),
        read=_spoken,
        part=_error_or,
        ended=_is_last,
        billing=Billing.PIECE,
        pieces=_characters,
        bound=_spoken_bound,
        any_body=True,
        refusal=openai.refusal,
        output_limits=NO_COMPLETION,
        example="/v1/audio/speech",
        note="characters, or the tokens of a stream of events",
    ),
    Format(
        id="openai.video",
        vendor="openai",
        path=re.compile(r"/v\d/videos(?:/(?:edits|extensions|[^/]+/remix))?/?$"),
        fields=("seconds", "size", "status", "model", "error"),
        members=("id", "status"),
        read=_film,
        billing=Billing.PIECE,
        providers=_OPENAI | {"together"},
        pieces=lambda _asked, _usage: (),
        bound=_film_bound,
        refusal=openai.refusal,
        output_limits=NO_COMPLETION,
        example="/v1/videos",
        note="seconds, counted when the film is asked for",
    ),
    Format(
        id="gemini.media",
        vendor="gemini",
        path=re.compile(r"/models/(?P<model>(?:imagen|veo)[^/:]*):predict(?:LongRunning)?$"),
        fields=("error",),
        members=("predictions", "name"),
        read=lambda body: Reading(error=body.get("error")),
        billing=Billing.PIECE,
        pieces=_google_media,
        bound=_google_media,
        refusal=gemini.refusal,
        output_limits=NO_COMPLETION,
        example="/v1beta/models/imagen-4.0-generate-001:predict",
        note="the images and seconds that were asked for",
    ),
    Format(
        id="mistral.ocr",
        vendor="mistral",
        path=re.compile(r"/v\d/ocr/?$|/providers/mistral/azure/ocr$"),
        fields=("usage_info", "model", "error"),
        members=("pages",),
        read=_read_pages,
        billing=Billing.PIECE,
        providers=frozenset({"mistral", "azure"}),
        pieces=_annotated,
        bound=_page_bound,
        refusal=openai.refusal,
        output_limits=NO_COMPLETION,
        example="/v1/ocr",
        note="pages, dearer with annotations",
    ),
    Format(
        id="mistral.conversations",
        vendor="mistral",
        path=re.compile(r"/v1/conversations(?:/[^/]+(?:/restart)?)?/?$"),
        fields=("usage", "outputs", "error"),
        members=("outputs", "conversation_id"),
        read=_conversed,
        ended=lambda event: event.get("type") in ("conversation.response.done", "conversation.response.error"),
        providers=frozenset({"mistral"}),
        refusal=openai.refusal,
        output_limits=(("completion_args", "max_tokens"),),
        prompt_names=PromptNames(("inputs",), ("instructions",)),
        example="/v1/conversations",
        note="as `openai.chat`, with counts of connectors",
    ),
    Format(
        id="decisions",
        vendor="openai",
        path=re.compile(r"/v\d\w*/(?:decisions|systemone)/?$"),
        fields=("usage", "model", "error"),
        members=("answers",),
        read=_decided,
        providers=_OPENAI | _GOOGLE | {"ollama"},
        refusal=openai.refusal,
        output_limits=(("max_output_tokens",),),
        prompt_names=PromptNames(("input",), ("instructions",), ("questions", "state")),
        completion_names=frozenset({"choice", "value", "label"}),
        example="/v1/decisions",
        note="OpenAI's, Gemini's and Ollama's",
    ),
)
