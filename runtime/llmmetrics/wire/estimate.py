"""Token counts of a call whose usage the wire does not carry: from the text, four characters a token.

https://help.openai.com/en/articles/4936856-what-are-tokens-and-how-to-count-them. An estimate is marked
as one wherever it is counted.
"""

from __future__ import annotations

from typing import Any

from llmmetrics.wire.frames import Doc, is_stream, last_events, parse, torn_json
from llmmetrics.wire.tape import Body

CHARACTERS = 4
"""Characters of text per token."""

_PROMPT = (
    *("messages", "input", "prompt", "system", "instructions", "contents", "systemInstruction", "tools"),
    *("message", "chat_history", "texts", "query", "documents", "content", "requests", "instances", "inputText"),
)
_NO_TEXT = frozenset({"data", "image_url", "url", "file_data", "id", "type", "role", "model", "encrypted_content"})
_OUTPUT = frozenset(
    {
        *("content", "text", "refusal", "reasoning", "reasoning_content", "thinking", "arguments", "partial_json"),
        *("response", "tool_plan", "args", "input", "completion", "generation", "outputText"),
    }
)


def _characters(value: Any) -> int:
    """The text in a JSON value, without what is no text: references and encoded media."""
    if isinstance(value, str):
        return 0 if value.startswith("data:") else len(value)
    if isinstance(value, list):
        return sum(map(_characters, value))
    if isinstance(value, dict):
        return sum(_characters(each) for name, each in value.items() if name not in _NO_TEXT)
    return 0


def _generated(value: Any) -> int:
    """The text under the names that providers give to generated text."""
    if isinstance(value, list):
        return sum(map(_generated, value))
    if isinstance(value, dict):
        return sum(
            _characters(each) if name in _OUTPUT or (name == "delta" and isinstance(each, str)) else _generated(each)
            for name, each in value.items()
        )
    return 0


def _delta(event: Doc) -> Doc:
    """An event without a whole response in it, which repeats what other events have said."""
    return {name: each for name, each in event.items() if not (name == "response" and isinstance(each, dict))}


def prompt_tokens(request_body: bytes) -> int:
    """About how many tokens a request asks to read."""
    fields = parse(request_body)
    if not isinstance(fields, dict):
        return -(-len(request_body) // CHARACTERS)
    return -(-sum(_characters(fields.get(name)) for name in _PROMPT) // CHARACTERS)


def completion_tokens(body: Body) -> int:
    """About how many tokens passed: the text that was kept, and as much again for what was not."""
    start = body.head or body.tail
    if is_stream(start):
        characters = sum(_generated(_delta(event)) for event in last_events(body)[0])
    else:
        characters = sum(map(_generated, torn_json(body.tail)))
    kept = len(body.tail)
    return -(-characters * body.total // (kept * CHARACTERS)) if kept else 0
