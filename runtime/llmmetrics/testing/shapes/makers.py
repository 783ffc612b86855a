"""Answers of the makers whose models have no API elsewhere, or another one than on Bedrock.

https://docs.aws.amazon.com/nova/latest/userguide/complete-request-schema.html and, under
https://docs.aws.amazon.com/bedrock/latest/userguide/, model-parameters-titan-text.html, …-titan-embed-text.html,
…-meta.html, …-cohere-command.html, …-embed.html.
"""

from __future__ import annotations

from collections.abc import Iterator

from llmmetrics.testing.messages.model import Answer, Request
from llmmetrics.testing.shapes.base import VECTOR, Doc, inputs
from llmmetrics.testing.shapes.bedrock import fresh


def _nova_usage(answer: Answer) -> Doc:
    counts = {
        "inputTokens": fresh(answer),
        "outputTokens": answer.completion_tokens,
        "totalTokens": answer.prompt_tokens + answer.completion_tokens,
        "cacheReadInputTokenCount": answer.cache_read,
        "cacheWriteInputTokenCount": answer.cache_write,
    }
    return {"usage": counts} if answer.usage else {}


def nova(_: Request, answer: Answer) -> Doc:
    """Return Nova's answer: Converse's, with other names for the cache."""
    message = {"role": "assistant", "content": [{"text": answer.text}]}
    return {"output": {"message": message}, "stopReason": "end_turn", **_nova_usage(answer)}


def nova_events(_: Request, answer: Answer) -> Iterator[Doc]:
    """Yield Converse's events, each under its name."""
    yield {"messageStart": {"role": "assistant"}}
    for piece in answer.deltas:
        yield {"contentBlockDelta": {"delta": {"text": piece}, "contentBlockIndex": 0}}
    yield {"contentBlockStop": {"contentBlockIndex": 0}}
    yield {"messageStop": {"stopReason": "end_turn"}}
    yield {"metadata": {**_nova_usage(answer), "metrics": {}, "trace": {}}}


def titan(_: Request, answer: Answer) -> Doc:
    """Return Titan's text."""
    output = {"tokenCount": answer.completion_tokens} if answer.usage else {}
    whole = {"inputTextTokenCount": answer.prompt_tokens} if answer.usage else {}
    return {**whole, "results": [{**output, "outputText": answer.text, "completionReason": "FINISH"}]}


def titan_events(_: Request, answer: Answer) -> Iterator[Doc]:
    """Yield Titan's text in pieces."""
    *others, last = answer.deltas
    for piece in others:
        yield {"index": 0, "outputText": piece, "completionReason": None}
    yield {"index": 0, "outputText": last, "completionReason": "FINISH"}


def titan_embedding(_: Request, answer: Answer) -> Doc:
    """Return Titan's embedding of one text."""
    return {"embedding": VECTOR, **({"inputTextTokenCount": answer.prompt_tokens} if answer.usage else {})}


def llama(_: Request, answer: Answer) -> Doc:
    """Return Llama's text."""
    counts = {"prompt_token_count": answer.prompt_tokens, "generation_token_count": answer.completion_tokens}
    return {"generation": answer.text, **(counts if answer.usage else {}), "stop_reason": "stop"}


def llama_events(_: Request, answer: Answer) -> Iterator[Doc]:
    """Yield Llama's text in pieces."""
    for piece in answer.deltas:
        yield {"generation": piece, "stop_reason": None}
    yield {"generation": "", "stop_reason": "stop"}


def command(request: Request, answer: Answer) -> Doc:
    """Return Command's text. The counts are in the headers only."""
    generation = {"id": "g-1", "text": answer.text, "finish_reason": "COMPLETE"}
    return {"id": "r-1", "generations": [generation], "prompt": str(request.json.get("prompt", ""))}


def command_events(_: Request, answer: Answer) -> Iterator[Doc]:
    """Yield Command's text in pieces."""
    for piece in answer.deltas:
        yield {"index": 0, "is_finished": False, "text": piece}
    yield {"index": 0, "is_finished": True, "finish_reason": "COMPLETE"}


def cohere_embeddings(request: Request, _: Answer) -> Doc:
    """Return Cohere's embeddings. The counts are in the headers only."""
    texts = inputs(request, "texts")
    return {"id": "e-1", "response_type": "embeddings_floats", "embeddings": [VECTOR for _ in texts], "texts": texts}
