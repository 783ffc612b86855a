"""xAI's own shape; its chat is OpenAI's. https://docs.x.ai/docs/api-reference#tokenize-text."""

from __future__ import annotations

from typing import Any

from llmmetrics.testing.messages.model import Answer, Request
from llmmetrics.testing.messages.provider_errors import NO_FILTER, ProviderErrors
from llmmetrics.testing.shapes.base import Doc, Shape


def _tokenize(_: Request, answer: Answer) -> Doc:
    return {
        "token_ids": [
            {"token_id": number, "string_token": "x", "token_bytes": [120]} for number in range(answer.prompt_tokens)
        ]
    }


def _error(_http: int, code: str, message: str) -> Any:
    # a bad key is a bad argument: only the message names it
    kind, _, detail = code.partition("/")
    return {"code": kind, "error": f"{detail}: {message}" if detail else message}


ERRORS = ProviderErrors(
    "xai",
    {
        **dict.fromkeys(("rate_limit", "rate_limit_bare", "insufficient_quota"), "Some resource has been exhausted"),
        "bad_key": "Client specified an invalid argument/Incorrect API key provided",
        "forbidden": "The caller does not have permission to execute the specified operation",
        "not_found": "Some requested entity was not found",
        "context_too_long": "Client specified an invalid argument",
    },
    _error,
    {"bad_key": 400, "overloaded": 503},
    NO_FILTER,
    "The service is currently unavailable",
)


SHAPES = (Shape("x-ai.count_tokens", ERRORS, _tokenize),)
