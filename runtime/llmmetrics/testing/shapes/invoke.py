"""Bedrock's InvokeModel: each maker's own bodies, with Bedrock's counts in headers or in a stream's last chunk.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html,
…/API_runtime_InvokeModelWithResponseStream.html and …/API_runtime_PayloadPart.html;
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html has the makers' bodies.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace

from llmmetrics.testing.messages.model import Answer, Request
from llmmetrics.testing.messages.provider_errors import Headers
from llmmetrics.testing.shapes import anthropic, makers, openai
from llmmetrics.testing.shapes.base import Doc, Shape
from llmmetrics.testing.shapes.bedrock import ERRORS, STREAM, failed, fresh
from llmmetrics.testing.shapes.eventstream import event

Docs = Callable[[Request, Answer], Iterator[Doc]]


def _counts(answer: Answer) -> dict[str, int]:
    """Return the counts, with the names of the headers."""
    if not answer.usage:
        return {}
    caches = {"cache-read-input": answer.cache_read, "cache-write-input": answer.cache_write}
    return {"input": fresh(answer), "output": answer.completion_tokens, **{name: n for name, n in caches.items() if n}}


def _headers(request: Request, answer: Answer) -> Headers:
    if request.stream:
        return (("x-amzn-bedrock-content-type", "application/json"),)
    counted = ((f"x-amzn-bedrock-{name}-token-count", str(n)) for name, n in _counts(answer).items())
    return (("x-amzn-bedrock-invocation-latency", "5"), *counted)


def _embedding_headers(request: Request, answer: Answer) -> Headers:
    return _headers(request, replace(answer, completion_tokens=0))


def _metrics(answer: Answer) -> Doc:
    """Return the same counts with the names of the JSON body."""
    counted = {
        re.sub("-(.)", lambda match: match[1].upper(), f"{name}-token-count"): n for name, n in _counts(answer).items()
    }
    return {"amazon-bedrock-invocationMetrics": {**counted, "invocationLatency": 5, "firstByteLatency": 2}}


def _stream(docs: Docs) -> Callable[[Request, Answer], Iterator[bytes]]:
    """Return a function that sends the maker's events, one per chunk, the counts in the last."""

    def chunks(request: Request, answer: Answer) -> Iterator[bytes]:
        *others, last = docs(request, answer)
        for doc in (*others, {**last, **_metrics(answer)}):
            yield event("chunk", {"bytes": b64encode(json.dumps(doc).encode()).decode()})

    return chunks


def _shape(models: str, body: Callable[[Request, Answer], Doc], docs: Docs | None = None) -> Shape:
    """Build the row of one maker's models. Without events it is an embedding, which has no completion."""
    return Shape(
        *("bedrock.invoke", ERRORS, body, _stream(docs) if docs else None, STREAM, failed),
        headers=_headers if docs else _embedding_headers,
        path=re.compile(rf"/model/.*{models}"),
    )


SHAPES = (
    _shape(r"anthropic\.", anthropic.message, anthropic.message_events),
    _shape(r"amazon\.nova", makers.nova, makers.nova_events),
    _shape(r"amazon\.titan-embed", makers.titan_embedding),
    _shape(r"amazon\.titan", makers.titan, makers.titan_events),
    _shape(r"meta\.llama", makers.llama, makers.llama_events),
    _shape(r"cohere\.embed", makers.cohere_embeddings),
    _shape(r"cohere\.command", makers.command, makers.command_events),
    # all later makers speak OpenAI's chat
    _shape("", openai.chat, openai.chat_chunks),
)
