"""xAI's own shape; its chat is OpenAI's. https://docs.x.ai/docs/api-reference#tokenize-text."""

from __future__ import annotations

from llmmetrics.testing.messages.model import Answer, Request
from llmmetrics.testing.shapes.base import Doc, Shape


def _tokenize(_: Request, answer: Answer) -> Doc:
    return {
        "token_ids": [
            {"token_id": number, "string_token": "x", "token_bytes": [120]} for number in range(answer.prompt_tokens)
        ]
    }


SHAPES = (Shape("x-ai.count_tokens", "xai", _tokenize),)
