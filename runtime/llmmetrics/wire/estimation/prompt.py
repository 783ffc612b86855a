"""What a request asks a model to read, in any format: its text, tools, messages and media."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from llmmetrics.wire.estimation.media import Medium, medium_of
from llmmetrics.wire.format import PromptNames, items, mapping

_TOOLS = ("tools", "functions", "toolConfig")
_ANSWERS = ("response_format", "output_format", "output_config", "format")
"""Fields with the schema of the answer; OpenAI's responses and Gemini have more places for it."""
_NO_TEXT = frozenset(
    {
        *("id", "type", "role", "model", "status", "cache_control", "detail", "filename", "format"),
        *("tool_use_id", "tool_call_id", "call_id", "toolUseId", "media_type", "mimeType", "mime_type"),
        *("encrypted_content", "redactedContent", "signature", "thoughtSignature", "thought_signature"),
    }
)
_KINDS = ("type", "mimeType", "mime_type", "media_type", "format")
"""Fields that name the kind of the field next to them."""
_ARGUMENTS = frozenset({"input", "args", "arguments", "json", "response"})
"""Fields that hold a JSON object inside a message. The model reads it as JSON."""


@dataclass(slots=True)
class Parts:
    """The parts of a request."""

    texts: list[str] = field(default_factory=list)
    schemas: list[str] = field(default_factory=list)
    """The tools and the form of the answer, as JSON."""
    turns: int = 0
    tools: int = 0
    tokens: int = 0
    """Tokens of a prompt that is a list of token ids."""
    media: list[Medium] = field(default_factory=list)


def compact(value: Any) -> str:
    """Return JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def parts_of(fields: dict[str, Any], names: PromptNames) -> Parts:
    """Return the parts of a request's JSON object."""
    parts = Parts()
    for name in dict.fromkeys((*names.messages, *names.system, *names.texts)):
        if (value := fields.get(name)) is not None:
            _walk(value, parts, name, name)
    parts.turns = sum(_messages(fields.get(name)) for name in names.messages)
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


def _messages(value: Any) -> int:
    """Count the messages; a text is one."""
    return 1 if isinstance(value, str) else sum(isinstance(each, dict) for each in items(value))


def _tools(value: Any) -> int:
    """Count the tools; Gemini and Bedrock keep them in inner lists."""
    inner = [each for each in mapping(value).values() if isinstance(each, list)]
    if inner or isinstance(value, list):
        return sum(_tools(each) for part in (inner or [value]) for each in part)
    return 1


def _walk(value: Any, parts: Parts, name: str, about: str) -> None:
    if isinstance(value, str):
        medium = medium_of(value, name, about)
        if isinstance(medium, Medium):
            parts.media.append(medium)
        else:
            parts.texts.append(value if medium is None else medium)
    elif isinstance(value, list):
        if value and all(type(each) is int for each in value):
            parts.tokens += len(value)
        else:
            for each in value:
                _walk(each, parts, name, about)
    elif isinstance(value, dict):
        kinds = " ".join(word for each in _KINDS if isinstance(word := value.get(each), str))
        for key, each in value.items():
            if key in _ARGUMENTS and isinstance(each, dict):
                parts.texts.append(compact(each))
            elif key not in _NO_TEXT:
                _walk(each, parts, key, f"{about[-100:]} {kinds[:100]} {key}")
