"""IBM's watsonx. https://cloud.ibm.com/apidocs/watsonx-ai: generation and embeddings; its chat is like OpenAI's."""

from __future__ import annotations

import re

from llmmetrics.wire import openai
from llmmetrics.wire.format import NO_COMPLETION, Format, PromptNames, Reading, count, items, mapping, text
from llmmetrics.wire.framing.frames import Doc
from llmmetrics.wire.usage import usage_of

_COUNTS = {"input": "input_token_count", "output": "generated_token_count"}


def _result(body: Doc) -> Doc:
    """Return the counts of a generation's only result."""
    found = mapping(next(iter(items(body.get("results"))), None))
    # of a stream, the first event has the prompt's count, and later ones 0
    counts = {name: found.get(name) or body.get(name) for name in _COUNTS.values()}
    return {**counts, "model_id": body.get("model_id"), "error": body.get("error") or body.get("errors")}


def _read(body: Doc) -> Reading:
    said = body if "results" not in body else _result(body)
    known = any(said.get(name) is not None for name in _COUNTS.values())
    counts = {bucket: count(said.get(name)) for bucket, name in _COUNTS.items()}
    return Reading(text(said.get("model_id")), usage_of(counts) if known else None, error=said.get("error"))


def _chat(body: Doc) -> Reading:
    return openai.read({**body, "model": body.get("model_id"), "error": body.get("error") or body.get("errors")})


def _stopped(event: Doc) -> bool:
    reason = mapping(next(iter(items(event.get("results"))), None)).get("stop_reason")
    return reason not in (None, "not_finished")


def _refusal(message: str) -> Doc:
    # https://cloud.ibm.com/apidocs/watsonx-ai#error-handling
    return {"errors": [{"code": "token_quota_reached", "message": message}], "status_code": 402}


_PATH = r"/ml/v\d[\w-]*(?:/deployments/(?P<model>[^/]+))?/"

FORMATS = (
    Format(
        id="watsonx.generate",
        vendor="watsonx",
        # before version 1 the words stood the other way round
        path=re.compile(_PATH + r"(?:text/generation|generation/text)(?P<stream>_stream)?$"),
        fields=("generated_token_count", "input_token_count", "model_id", "error"),
        members=("results",),
        read=_read,
        part=_result,
        ended=_stopped,
        model_names=("model_id",),
        prompt_names=PromptNames(messages=("input",)),
        refusal=_refusal,
        output_limits=(("parameters", "max_new_tokens"),),
        completion_names=frozenset({"generated_text"}),
        hosts=(("ml.cloud.ibm.com", "watsonx"),),
        example="/ml/v1/text/generation",
        note="only a stream's first event has the prompt count",
    ),
    Format(
        id="watsonx.chat",
        vendor="watsonx",
        path=re.compile(_PATH + r"text/chat(?P<stream>_stream)?$"),
        fields=("usage", "model_id", "error"),
        members=("choices",),
        read=_chat,
        ended=lambda event: event.get("usage") is not None,
        model_names=("model_id",),
        prompt_names=openai.PROMPT,
        refusal=_refusal,
        output_limits=openai.MAX_TOKENS,
        answer_counts=(("n",),),
        completion_names=openai.COMPLETION,
        example="/ml/v1/text/chat",
        note="as `openai.chat`, with `model_id`",
    ),
    Format(
        id="watsonx.embed",
        vendor="watsonx",
        path=re.compile(_PATH + r"text/embeddings$"),
        fields=("input_token_count", "model_id", "error"),
        members=("results",),
        read=_read,
        model_names=("model_id",),
        prompt_names=PromptNames(texts=("inputs",)),
        refusal=_refusal,
        output_limits=NO_COMPLETION,
        plain_prompt=True,
        example="/ml/v1/text/embeddings",
        note="the prompt count only",
    ),
)
