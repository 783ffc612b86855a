"""Batches of OpenAI (and of Groq, Together and others that speak its formats), Anthropic, Gemini and Mistral.

A batch is a call without usage. Its results are read later, a line for each request, at the batch price.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from llmmetrics.wire import anthropic, billed, gemini, openai
from llmmetrics.wire.format import (
    FREE,
    NO_COMPLETION,
    Charge,
    Format,
    PromptNames,
    Reading,
    count,
    items,
    mapping,
    text,
)
from llmmetrics.wire.framing.frames import Doc
from llmmetrics.wire.later import AnswerState, Batch, BatchRequest, LaterAnswer, state_of
from llmmetrics.wire.usage import Usage, usage_of


def _reading(id: Any, state: AnswerState | None, body: Doc, results: Sequence[Any], *, empty: bool = False) -> Reading:
    files = tuple(filter(None, map(text, results)))
    known = text(id)
    later = LaterAnswer(known, state, background=True, results=files, empty=empty) if known and state else None
    error = body.get("error")
    return Reading(text(body.get("model")), error=error if isinstance(error, dict) and not later else None, later=later)


def _is_empty(state: AnswerState | None, output: Any, succeeded: Any) -> bool:
    """Return whether a batch is over and has no results. Without a count, one that is completed may have some."""
    if state in (None, AnswerState.OPEN) or output:
        return False
    return state is not AnswerState.COMPLETED if succeeded is None else not succeeded


# OpenAI: https://platform.openai.com/docs/api-reference/batch


def _openai(answer: Doc) -> Reading:
    # Together's answer to the POST holds the batch as its job
    body = mapping(answer.get("job")) or answer
    state, counts = state_of(body.get("status")), mapping(body.get("request_counts"))
    output = body.get("output_file_id")
    empty = _is_empty(state, output, counts.get("completed"))
    return _reading(body.get("id"), state, body, [output], empty=empty)


def _line(line: Doc, _model: str | None) -> BatchRequest | None:
    # Mistral's lines have no path: the job names it
    path, body = line.get("url") or "/v1/chat/completions", line.get("body")
    return BatchRequest(path, body) if isinstance(path, str) and isinstance(body, dict) else None


_FAILED = Reading(error=True)
"""The result of a request that failed: it costs nothing."""

_BY_OBJECT = {
    "response": "openai.responses",
    "list": "openai.embeddings",
    "text_completion": "openai.completions",
    "video": "openai.video",
}
_BY_MEMBER = {
    "choices": "openai.chat",
    "pages": "mistral.ocr",
    "outputs": "mistral.conversations",
    "text": "openai.transcription",
    "data": "openai.images",
}
_BY_ID = {each.id: each for each in (*openai.FORMATS, *billed.FORMATS)}


def _result(line: Doc) -> Reading | None:
    """Read a line of OpenAI's, Groq's, Together's or Mistral's results. What it answers tells its format."""
    if "custom_id" not in line:
        return None
    response = mapping(line.get("response"))
    body = mapping(response.get("body"))
    if not body or count(response.get("status_code")) >= 400:
        return _FAILED
    if any("categories" in mapping(each) for each in items(body.get("results"))):
        # a moderation
        return FREE
    id = _BY_OBJECT.get(str(body.get("object")))
    id = id or next((id for member, id in _BY_MEMBER.items() if member in body), "openai.chat")
    reading = _BY_ID[id].read(body)
    return reading._replace(charges=_annotated(body, reading.usage)) if id == "mistral.ocr" else reading


def _annotated(body: Doc, usage: Usage | None) -> tuple[Charge, ...]:
    """Return what the pages cost if the answer has annotations: the request, which asked for them, is not at hand."""
    images = (mapping(each) for page in items(body.get("pages")) for each in items(mapping(page).get("images")))
    annotated = body.get("document_annotation") or any(each.get("image_annotation") for each in images)
    pieces = _BY_ID["mistral.ocr"].pieces
    return pieces({"document_annotation_format": annotated}, usage) if pieces else ()


# Mistral: https://docs.mistral.ai/api/#tag/batch


def _mistral(body: Doc) -> Reading:
    state = state_of(body.get("status"))
    output = body.get("output_file")
    empty = _is_empty(state, output or items(body.get("outputs")), body.get("succeeded_requests"))
    return _reading(body.get("id"), state, body, [output], empty=empty)


def _mistral_requests(body: Doc, _: str | None) -> Iterable[BatchRequest]:
    path, model = str(body.get("endpoint")), body.get("model")
    for each in items(body.get("requests")):
        inner = mapping(mapping(each).get("body"))
        yield BatchRequest(path, {"model": model, **inner} if model else inner)


# Anthropic: https://docs.anthropic.com/en/api/creating-message-batches


def _anthropic(body: Doc) -> Reading:
    state, counts = state_of(body.get("processing_status")), mapping(body.get("request_counts"))
    empty = state is AnswerState.COMPLETED and counts.get("succeeded") == 0
    if empty and not counts.get("errored"):
        state = AnswerState.CANCELLED if counts.get("canceled") else AnswerState.EXPIRED
    # the results have the batch's own id
    return _reading(body.get("id"), state, body, [body.get("id")], empty=empty)


def _anthropic_requests(body: Doc, _: str | None) -> Iterable[BatchRequest]:
    for each in items(body.get("requests")):
        yield BatchRequest("/v1/messages", mapping(mapping(each).get("params")))


_MESSAGES = anthropic.FORMATS[0]


def _anthropic_result(line: Doc) -> Reading | None:
    result = mapping(line.get("result"))
    if "custom_id" not in line or not result:
        return None
    message = mapping(result.get("message"))
    return _MESSAGES.read(message) if message else _FAILED


# Gemini: https://ai.google.dev/api/batch-api


def _gemini(body: Doc) -> Reading:
    metadata, response = mapping(body.get("metadata")), mapping(body.get("response"))
    output = mapping(metadata.get("output"))
    state = state_of(metadata.get("state"))
    file = response.get("responsesFile") or output.get("responsesFile")
    succeeded = mapping(metadata.get("batchStats")).get("successfulRequestCount")
    empty = _is_empty(state, file or _gemini_inline(body), None if succeeded is None else int(succeeded))
    reading = _reading(_last(body.get("name")), state, body, [_last(file)], empty=empty)
    return reading._replace(model=_last(metadata.get("model")))


def _last(name: Any) -> str | None:
    """Return the last part of a resource's name: `batches/x` is x."""
    return text(str(name or "").rpartition("/")[2])


def _gemini_inline(body: Doc) -> Sequence[Doc]:
    for holder in (mapping(body.get("response")), mapping(mapping(body.get("metadata")).get("output"))):
        for name in ("inlinedResponses", "inlinedEmbedContentResponses"):
            # google-genai reads the latter as `inlinedResponses` within it
            inner = mapping(holder.get(name))
            if results := items(inner.get("inlinedResponses") or inner.get(name)):
                return [mapping(each) for each in results]
    return ()


def _input(body: Doc) -> Doc:
    batch = mapping(body.get("batch"))
    return mapping(batch.get("inputConfig") or batch.get("input_config"))


def _gemini_requests(body: Doc, model: str | None) -> Iterable[BatchRequest]:
    for each in items(mapping(_input(body).get("requests")).get("requests")):
        yield _gemini_request(mapping(mapping(each).get("request")), model)


def _gemini_request(request: Doc, model: str | None) -> BatchRequest:
    verb = "embedContent" if "content" in request else "generateContent"
    return BatchRequest(f"/v1beta/models/{model}:{verb}", request)


def _gemini_line(line: Doc, model: str | None) -> BatchRequest | None:
    # uploads of Gemini's files are not read: no line of them names a model
    request = line.get("request")
    return _gemini_request(request, model) if isinstance(request, dict) else None


def _gemini_inputs(body: Doc) -> Sequence[str]:
    name = _last(_input(body).get("fileName") or _input(body).get("file_name"))
    return (name,) if name else ()


_GENERATE = gemini.FORMATS[0]


def _gemini_result(line: Doc) -> Reading | None:
    if "response" not in line and "error" not in line:
        return None
    response = mapping(line.get("response"))
    if not response:
        return _FAILED
    if "embedding" in response:
        # https://ai.google.dev/api/batch-api: 64-bit numbers are text in Google's JSON
        tokens = str(response.get("tokenCount"))
        return Reading(usage=usage_of({"input": count(int(tokens))}) if tokens.isdecimal() else None)
    return _GENERATE.read(response)


def _inputs(*fields: str) -> Any:
    """Return a reader of the files that a body names under these names."""

    def read(body: Doc) -> Sequence[str]:
        values = [body.get(each) for each in fields]
        names = [text(file) for each in values for file in (each if isinstance(each, list) else [each])]
        return [name for name in names if name]

    return read


_NO_PROMPT = PromptNames()
"""The prompts are those of its requests."""
_FILES = re.compile(r"/files/(?P<id>[^/]+)/content/?$")
_UPLOADS = re.compile(r"/files/?$")

FORMATS = (
    Format(
        id="anthropic.batches",
        vendor="anthropic",
        providers=frozenset({"anthropic"}),
        path=re.compile(r"/v1/messages/batches/?$"),
        fields=("id", "processing_status", "error"),
        members=("processing_status",),
        read=_anthropic,
        refusal=anthropic.refusal,
        output_limits=NO_COMPLETION,
        prompt_names=_NO_PROMPT,
        example="/v1/messages/batches",
        note="counted at the batch price when its results are read",
        fetched=re.compile(r"/v1/messages/batches/(?P<id>[^/]+)(?:/cancel)?/?$"),
        listed=re.compile(r"/v1/messages/batches/?$"),
        deferred=True,
        batch=Batch(
            requests=_anthropic_requests,
            inputs=lambda _: (),
            request=lambda _line, _model: None,
            result=_anthropic_result,
            results=re.compile(r"/v1/messages/batches/(?P<id>[^/]+)/results/?$"),
        ),
    ),
    Format(
        id="mistral.batches",
        vendor="mistral",
        providers=frozenset({"mistral"}),
        path=re.compile(r"/v1/batch/jobs/?$"),
        fields=("id", "status", "model", "error"),
        members=("status",),
        read=_mistral,
        refusal=openai.refusal,
        output_limits=NO_COMPLETION,
        prompt_names=_NO_PROMPT,
        example="/v1/batch/jobs",
        note="counted at the batch price when its results are read",
        fetched=re.compile(r"/v1/batch/jobs/(?P<id>[^/]+)(?:/cancel)?/?$"),
        listed=re.compile(r"/v1/batch/jobs/?$"),
        deferred=True,
        batch=Batch(
            requests=_mistral_requests,
            inputs=_inputs("input_files"),
            request=_line,
            result=_result,
            results=_FILES,
            uploads=_UPLOADS,
            inline=lambda body: [mapping(each) for each in items(body.get("outputs"))],
        ),
    ),
    # before Gemini's, whose batches have such a path at another provider
    Format(
        id="openai.batches",
        vendor="openai",
        providers=frozenset({"openai", "azure", "groq", "together"}),
        path=re.compile(r"(?<!/messages)/batches/?$"),
        fields=("id", "status", "model", "error"),
        members=("status", "job"),
        read=_openai,
        refusal=openai.refusal,
        output_limits=NO_COMPLETION,
        prompt_names=_NO_PROMPT,
        example="/v1/batches",
        note="counted at the batch price when its results are read",
        fetched=re.compile(r"(?<!/messages)/batches/(?P<id>[^/:]+)(?:/cancel)?/?$"),
        listed=re.compile(r"(?<!/messages)/batches/?$"),
        deferred=True,
        batch=Batch(
            requests=lambda _body, _model: (),
            inputs=_inputs("input_file_id"),
            request=_line,
            result=_result,
            results=_FILES,
            uploads=_UPLOADS,
        ),
    ),
    Format(
        id="gemini.batches",
        vendor="gemini",
        providers=frozenset({"google", "google-vertex"}),
        path=re.compile(r"/models/(?P<model>[^/:]+):(?:batchGenerateContent|asyncBatchEmbedContent)$"),
        fields=("name", "metadata", "error"),
        members=("name", "metadata"),
        read=_gemini,
        refusal=gemini.refusal,
        output_limits=NO_COMPLETION,
        prompt_names=_NO_PROMPT,
        example="/v1beta/models/MODEL:batchGenerateContent",
        note="counted at the batch price when its results are read",
        fetched=re.compile(r"/v\d\w*/batches/(?P<id>[^/:]+)(?::cancel)?$"),
        listed=re.compile(r"/v\d\w*/batches/?$"),
        deferred=True,
        batch=Batch(
            requests=_gemini_requests,
            inputs=_gemini_inputs,
            request=_gemini_line,
            result=_gemini_result,
            results=re.compile(r"/files/(?P<id>[^/:]+):download$"),
            inline=_gemini_inline,
        ),
    ),
)
