"""What a request asks a model to read, whatever format it is in: its text, its tools, its messages, its media."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from llmmetrics.wire.estimation.media import Medium, medium_of
from llmmetrics.wire.format import items, mapping

_PROMPT = (
    *("messages", "input", "prompt", "system", "instructions", "contents", "systemInstruction", "system_instruction"),
    *("message", "chat_history", "preamble", "texts", "query", "documents", "content", "requests", "instances"),
    *("inputText", "inputs", "images", "singleEmbeddingParams"),
)
_TURNS = ("messages", "contents", "input", "chat_history")
_TOOLS = ("tools", "functions", "toolConfig")
_ANSWERS = ("response_format", "output_format", "output_config", "format")
"""Where the schema of an answer stands; OpenAI's responses and Gemini have more places for it."""
_NO_TEXT = frozenset(
    {
        *("id", "type", "role", "model", "status", "cache_control", "detail", "filename", "format"),
        *("tool_use_id", "tool_call_id", "call_id", "toolUseId", "media_type", "mimeType", "mime_type"),
        *("encrypted_content", "redactedContent", "signature", "thoughtSignature", "thought_signature"),
    }
)
_KINDS = ("type", "mimeType", "mime_type", "media_type", "format")
"""What says of which kind its neighbour is."""
_ARGUMENTS = frozenset({"input", "args", "arguments", "json", "response"})
"""What holds a JSON object inside a message, which the model reads as JSON."""


@dataclass(slots=True)
class Parts:
    """What a request is made of."""

    texts: list[str] = field(default_factory=list)
    schemas: list[str] = field(default_factory=list)
    """The tools and the form of the answer, as JSON."""
    turns: int = 0
    tools: int = 0
    tokens: int = 0
    """Those of a prompt that is given as token ids."""
    media: list[Medium] = field(default_factory=list)


def compact(value: Any) -> str:
    """JSON as short as it gets."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def parts_of(fields: dict[str, Any]) -> Parts:
    """The parts of a request's JSON object."""
    parts = Parts()
    for name in _PROMPT:
        if (value := fields.get(name)) is not None:
            _walk(value, parts, name, name)
    parts.turns = sum(isinstance(each, dict) for name in _TURNS for each in items(fields.get(name)))
    parts.turns += isinstance(fields.get("message"), str) or isinstance(fields.get("input"), str)
    if isinstance(query := fields.get("query"), str):
        # https://docs.voyageai.com/docs/pricing: a reranker reads the query with each document
        parts.texts += [query] * (len(items(fields.get("documents"))) - 1)
    for name in _TOOLS:
        if value := fields.get(name):
            parts.tools += _tools(value)
            parts.schemas.append(compact(value))
    config = mapping(fields.get("generationConfig"))
    forms = [fields.get(name) for name in _ANSWERS] + [mapping(fields.get("text")).get("format")]
    forms += [config.get("responseSchema"), config.get("responseJsonSchema")]
    parts.schemas += [
        written for form in forms if isinstance(form, dict) and "properties" in (written := compact(form))
    ]
    return parts


def _tools(value: Any) -> int:
    """How many tools there are; Gemini and Bedrock keep them in lists of their own."""
    inner = [each for each in mapping(value).values() if isinstance(each, list)]
    if inner or isinstance(value, list):
        return sum(_tools(each) for part in (inner or [value]) for each in part)
    return 1


def _walk(value: Any, parts: Parts, name: str, about: str) -> None:
    if isinstance(value, str):
        found = medium_of(value, name, about)
        if isinstance(found, Medium):
            parts.media.append(found)
        else:
            parts.texts.append(value if found is None else found)
    elif isinstance(value, list):
        if value and all(type(each) is int for each in value):
            parts.tokens += len(value)
        else:
            for each in value:
                _walk(each, parts, name, about)
    elif isinstance(value, dict):
        said = " ".join(word for each in _KINDS if isinstance(word := value.get(each), str))
        for key, each in value.items():
            if key in _ARGUMENTS and isinstance(each, dict):
                parts.texts.append(compact(each))
            elif key not in _NO_TEXT:
                _walk(each, parts, key, f"{about[-100:]} {said[:100]} {key}")
