"""Vertex AI's shapes: predictions, and the makers' APIs with Google's errors.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api and …/model-reference/text.
"""

from __future__ import annotations

import re

from llmmetrics.testing.messages.model import Answer, Request
from llmmetrics.testing.shapes import anthropic, gemini, openai
from llmmetrics.testing.shapes.base import VECTOR, Doc, Shape, inputs


def _embeddings(request: Request, answer: Answer) -> Doc:
    """Return embeddings, each with its own count; the sum is the answer's count."""
    texts = inputs(request, "instances")
    each, more = divmod(answer.prompt_tokens, max(len(texts), 1))
    predictions = []
    for at, _ in enumerate(texts):
        statistics: Doc = {"truncated": False}
        if answer.usage:
            statistics["token_count"] = each + (at < more)
        predictions.append({"embeddings": {"statistics": statistics, "values": VECTOR}})
    return {"predictions": predictions, "metadata": {"billableCharacterCount": 4 * len(texts)}}


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


def _compute(_: Request, answer: Answer) -> Doc:
    numbers = range(answer.prompt_tokens)
    return {"tokensInfo": [{"tokens": ["eA==" for _ in numbers], "tokenIds": list(map(str, numbers)), "role": "user"}]}


ERRORS = gemini.ERRORS._replace(
    name="vertex",
    # Vertex takes Google's access tokens, not Gemini's keys
    codes={**gemini.ERRORS.codes, "bad_key": "UNAUTHENTICATED/CREDENTIALS_MISSING"},
    http={"overloaded": 503},
)

SHAPES = (
    Shape("vertex.predict", ERRORS, _text, path=re.compile(r"/[^/]*(?:bison|unicorn)[^/]*:predict$")),
    Shape("vertex.predict", ERRORS, _embeddings),
    # Google reports the error of a request, the maker the error inside a stream
    Shape("vertex.anthropic", ERRORS, anthropic.message, anthropic.message_stream, within=anthropic.ERRORS),
    Shape("vertex.chat", ERRORS, openai.chat, openai.chat_stream, within=openai.ERRORS),
    Shape("anthropic.count_tokens", ERRORS, anthropic.count, path=re.compile("rawPredict$")),
    # Vertex has Gemini's paths below a project
    Shape(
        *("gemini.generate", ERRORS, gemini.content, gemini.content_stream),
        failed=gemini.failed,
        path=re.compile("/projects/"),
    ),
    # only Vertex has this path
    Shape("gemini.count_tokens", ERRORS, _compute, path=re.compile(r":computeTokens$")),
)
