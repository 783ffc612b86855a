"""Vertex AI's predictions; what makers' own APIs say there is with their own shapes.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api and …/model-reference/text.
"""

from __future__ import annotations

import re

from llmmetrics.testing.messages.model import Answer, Request
from llmmetrics.testing.shapes.base import VECTOR, Doc, Shape, inputs


def _embeddings(request: Request, answer: Answer) -> Doc:
    """They are counted one by one: all of them together have the answer's count."""
    given = inputs(request, "instances")
    each, more = divmod(answer.prompt_tokens, max(len(given), 1))
    predictions = []
    for at, _ in enumerate(given):
        said: Doc = {"truncated": False}
        if answer.usage:
            said["token_count"] = each + (at < more)
        predictions.append({"embeddings": {"statistics": said, "values": VECTOR}})
    return {"predictions": predictions, "metadata": {"billableCharacterCount": 4 * len(given)}}


def _tokens(count: int, text: str) -> Doc:
    return {"totalTokens": count, "totalBillableCharacters": len(text)}


def _text(_: Request, answer: Answer) -> Doc:
    counts = {
        "inputTokenCount": _tokens(answer.prompt_tokens, ""),
        "outputTokenCount": _tokens(answer.completion_tokens, answer.text),
    }
    return {
        "predictions": [{"content": answer.text, "safetyAttributes": {"blocked": False, "categories": []}}],
        "metadata": {"tokenMetadata": counts} if answer.usage else {},
    }


SHAPES = (
    Shape("vertex.predict", "vertex", _text, path=re.compile(r"/[^/]*(?:bison|unicorn)[^/]*:predict$")),
    Shape("vertex.predict", "vertex", _embeddings),
)
