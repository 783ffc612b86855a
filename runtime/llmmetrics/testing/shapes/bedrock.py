"""Bedrock's Converse, which is the same for every model, and its counting of tokens.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html, …/API_runtime_ConverseStream.html,
…/API_runtime_TokenUsage.html, …/API_runtime_CountTokens.html.
"""

from __future__ import annotations

from collections.abc import Iterator

from llmmetrics.testing.messages.model import Answer, Request
from llmmetrics.testing.messages.provider_errors import NO_FILTER, Headers, ProviderErrors, Refusal, wrapped
from llmmetrics.testing.shapes.base import Doc, Shape
from llmmetrics.testing.shapes.eventstream import event, exception

STREAM = "application/vnd.amazon.eventstream"


def fresh(answer: Answer) -> int:
    """Return the prompt tokens without those of the cache."""
    return answer.prompt_tokens - answer.cache_read - answer.cache_write


def failed(_: Request, refusal: Refusal) -> bytes:
    """Return a stream's exception, with the name of the HTTP error as a member of the stream's union."""
    return exception(refusal.code[:1].lower() + refusal.code[1:], refusal.body)


def _usage(answer: Answer) -> Doc:
    return {
        "inputTokens": fresh(answer),
        "outputTokens": answer.completion_tokens,
        "totalTokens": answer.prompt_tokens + answer.completion_tokens,
        **({"cacheReadInputTokens": answer.cache_read} if answer.cache_read else {}),
        **({"cacheWriteInputTokens": answer.cache_write} if answer.cache_write else {}),
    }


def _metadata(answer: Answer) -> Doc:
    return {
        **({"usage": _usage(answer)} if answer.usage else {}),
        "metrics": {"latencyMs": 5},
        # only a prompt router names the model that answers
        **({"trace": {"promptRouter": {"invokedModelId": answer.model}}} if answer.model else {}),
    }


def _converse(_: Request, answer: Answer) -> Doc:
    message = {"role": "assistant", "content": [{"text": answer.text}]}
    return {"output": {"message": message}, "stopReason": "end_turn", **_metadata(answer)}


def _converse_stream(_: Request, answer: Answer) -> Iterator[bytes]:
    yield event("messageStart", {"role": "assistant"})
    for piece in answer.deltas:
        yield event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}})
    yield event("contentBlockStop", {"contentBlockIndex": 0})
    yield event("messageStop", {"stopReason": "end_turn"})
    yield event("metadata", _metadata(answer))


def _count(_: Request, answer: Answer) -> Doc:
    return {"inputTokens": answer.prompt_tokens}


def _error_headers(code: str) -> Headers:
    return (("x-amzn-errortype", f"{code}:http://internal.amazon.com/coral/com.amazon.bedrock/"),)


ERRORS = ProviderErrors(
    "bedrock",
    {
        # https://docs.aws.amazon.com/bedrock/latest/userguide/quotas.html: a day's tokens are a rate too
        **dict.fromkeys(("rate_limit", "rate_limit_bare", "insufficient_quota"), "ThrottlingException"),
        "bad_key": "UnrecognizedClientException",
        "forbidden": "AccessDeniedException",
        "not_found": "ResourceNotFoundException",
        "context_too_long": "ValidationException",
        **dict.fromkeys(("unavailable", "overloaded"), "ServiceUnavailableException"),
        "gateway_timeout": "ModelTimeoutException",
    },
    lambda _http, _code, message: {"message": message},
    {"bad_key": 403, "overloaded": 503, "gateway_timeout": 408},
    NO_FILTER,
    "InternalServerException",
    _error_headers,
    wrapped,
)


SHAPES = (
    Shape("bedrock.converse", ERRORS, _converse, _converse_stream, STREAM, failed),
    Shape("aws-bedrock.count_tokens", ERRORS, _count),
)
