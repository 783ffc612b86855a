"""Vertex AI's other APIs: predictions, and the makers' own APIs, which Vertex passes through.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api and
https://docs.anthropic.com/en/api/claude-on-vertex-ai. Gemini itself is in `gemini`.
"""

from __future__ import annotations

import re

from llmmetrics.wire import anthropic, gemini, openai
from llmmetrics.wire.format import Format, PromptNames, Reading, count, items, mapping
from llmmetrics.wire.framing.frames import Doc
from llmmetrics.wire.usage import usage_of


def _predicted(body: Doc) -> Reading:
    """Read predictions: each embedding has its count, generated text has it in the answer's metadata."""
    counts: dict[str, int] = {}
    for each in items(body.get("predictions")):
        said = mapping(mapping(mapping(each).get("embeddings")).get("statistics")).get("token_count")
        if said is not None:
            counts["input"] = counts.get("input", 0) + count(said)
    metadata = mapping(mapping(body.get("metadata")).get("tokenMetadata"))
    for bucket, name in (("input", "inputTokenCount"), ("output", "outputTokenCount")):
        said = mapping(metadata.get(name)).get("totalTokens")
        if said is not None:
            counts[bucket] = count(said)
    return Reading(usage=usage_of(counts) if counts else None, error=body.get("error"))


_RAW = r"/(?P<model>[^/:]+):(?:(?P<stream>streamR)|r)awPredict$"

_HOSTS = (
    ("aiplatform.googleapis.com", "google-vertex"),
    # the SDKs' hosts of the locations `us` and `eu`, and for certificates
    (re.compile(r"(?:^|[-.])aiplatform\.(?:[\w-]+\.rep|mtls)\.googleapis\.com$"), "google-vertex"),
)

FORMATS = (
    Format(
        id="vertex.predict",
        vendor="google-vertex",
        # images and videos are predicted too, and are no calls
        path=re.compile(r"/publishers/google/models/(?P<model>[^/:]*(?:embedding|bison|gecko|unicorn)[^/:]*):predict$"),
        fields=("metadata", "predictions", "error"),
        members=("predictions",),
        read=_predicted,
        prompt_names=PromptNames(texts=("instances",)),
        refusal=gemini.refusal,
        output_limits=(("parameters", "maxOutputTokens"),),
        answer_counts=(("parameters", "candidateCount"),),
        plain_prompt=True,
        hosts=_HOSTS,
        example="/publishers/google/models/text-embedding-005:predict",
        note="each embedding has its own count",
    ),
    Format(
        id="vertex.anthropic",
        vendor="anthropic",
        path=re.compile(r"/publishers/anthropic/models" + _RAW),
        fields=("usage", "model", "error"),
        members=("content", "stop_reason"),
        read=anthropic.read,
        part=anthropic.part,
        ended=anthropic.ended,
        prompt_names=anthropic.PROMPT,
        refusal=anthropic.refusal,
        output_limits=anthropic.MAX_TOKENS,
        completion_names=anthropic.COMPLETION,
        example="/publishers/anthropic/models/MODEL:rawPredict",
        note="as `anthropic.messages`",
        tier_names=anthropic.TIER,
    ),
    # Mistral's and AI21's models speak OpenAI's chat there
    Format(
        id="vertex.chat",
        vendor="openai",
        path=re.compile(r"/publishers/[^/]+/models" + _RAW),
        fields=("usage", "model", "service_tier", "error"),
        members=("choices",),
        read=openai.read,
        part=openai.chunk,
        ended=openai.stopped,
        prompt_names=openai.PROMPT,
        refusal=openai.refusal,
        output_limits=openai.MAX_TOKENS,
        answer_counts=(("n",),),
        completion_names=openai.COMPLETION,
        example="/publishers/mistralai/models/MODEL:rawPredict",
        note="as `openai.chat`: Mistral, AI21 and others",
        tier_names=openai.TIER,
    ),
)
