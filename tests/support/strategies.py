"""Hypothesis strategies: bodies of any shape, with names that some format reads."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from llmmetrics import wire
from support.provider_answers import event

FORMATS = {each.id: each for each in wire.FORMATS}

# names that some format reads, so that random documents reach more than a reader's first line
WORDS = [
    "usage",
    "usageMetadata",
    "model",
    "modelVersion",
    "error",
    "message",
    "meta",
    "tokens",
    "billed_units",
    "input_tokens",
    "output_tokens",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "prompt_tokens_details",
    "completion_tokens_details",
    "cached_tokens",
    "x_groq",
    "promptTokenCount",
    "candidatesTokenCount",
    "promptTokensDetails",
    "cacheTokensDetails",
    "modality",
    "tokenCount",
    "response",
    "delta",
    "iterations",
    "cache_creation",
    "cache_creation_input_tokens",
    "ephemeral_1h_input_tokens",
    "server_tool_use",
    "type",
    "event_type",
    "inputTokens",
    "outputTokens",
    "cacheDetails",
    "ttl",
    "cacheWriteInputTokens",
    "metadata",
    "trace",
    "promptRouter",
    "invokedModelId",
    "chunk",
    "bytes",
    "amazon-bedrock-invocationMetrics",
    "inputTokenCount",
    "outputTokenCount",
    "prompt_token_count",
    "inputTextTokenCount",
    "results",
    "predictions",
    "embeddings",
    "statistics",
    "token_count",
    "tokenMetadata",
    "interaction",
    "total_input_tokens",
    "input_tokens_by_modality",
    "eval_count",
    "prompt_eval_count",
    "cost",
    "cost_details",
    "is_byok",
    "cost_in_usd_ticks",
    "pydantic_ai_gateway",
    "candidates",
    "finishReason",
    "done",
    "choices",
    "status",
    "code",
    "search_units",
    "AUDIO",
    "text",
    "1h",
]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(["", "x", "message_start", "message_stop", "error", "[DONE]", "NaN", "1e999"]),
    st.sampled_from(WORDS),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
    max_leaves=20,
)
documents = st.dictionaries(st.sampled_from(WORDS), values, max_size=6)


FRAMINGS = {
    "json": lambda docs: json.dumps(docs[0] if docs else {}).encode(),
    "array": lambda docs: json.dumps(docs).encode(),
    "lines": lambda docs: b"".join(json.dumps(doc).encode() + b"\n" for doc in docs),
    "sse": lambda docs: b"".join(b"event: x\ndata: %b\n\n" % json.dumps(doc).encode() for doc in docs),
    "crlf": lambda docs: (
        b"".join(b"data: %b\r\n\r\n" % json.dumps(doc).encode() for doc in docs) + b"data: [DONE]\r\n\r\n"
    ),
    "aws": lambda docs: b"".join(event(next(iter(doc), "chunk"), doc) for doc in docs),
}

bodies = st.builds(
    lambda docs, framing, cut: FRAMINGS[framing](docs)[: cut or None],
    st.lists(documents, max_size=5),
    st.sampled_from(sorted(FRAMINGS)),
    # truncated near its end, or complete
    st.just(0) | st.integers(-200, -1),
)
