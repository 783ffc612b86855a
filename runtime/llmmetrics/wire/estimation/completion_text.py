"""The text that a model has written in an answer, and its calls of tools."""

from __future__ import annotations

from typing import Any

from llmmetrics.wire.estimation.prompt import compact
from llmmetrics.wire.format import Format, text
from llmmetrics.wire.framing.body_buffer import Body
from llmmetrics.wire.framing.frames import Doc, is_stream, last_events, torn_json

_ECHOES = frozenset(
    {
        *("tools", "instructions", "usage", "error", "metadata", "logprobs", "reasoning_details"),
        *("citations", "annotations", "search_results", "documents", "sources"),
        *("citationMetadata", "groundingMetadata"),
    }
)
"""Fields that repeat other fields, or were not generated."""
_CALLS = frozenset({"arguments", "input", "args", "parameters", "toolUseId"})
"""Fields that stand next to the name of a called tool."""


class CompletionText:
    """Collects generated text. `names` are the fields that hold it in this format."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self.texts: list[str] = []
        self.calls = 0

    def add(self, value: Any, *, output: bool = False) -> None:
        """Add the generated text in a JSON value. `output`: a string is generated text."""
        if isinstance(value, str):
            if output:
                self.texts.append(value)
        elif isinstance(value, list):
            for each in value:
                self.add(each, output=output)
        elif isinstance(value, dict) and not (text(value.get("type")) or "").endswith("_result"):
            if isinstance(name := value.get("name"), str) and not _CALLS.isdisjoint(value):
                self.calls += 1
                self.texts.append(name)
            for key, each in value.items():
                if key in _CALLS and isinstance(each, dict):
                    self.texts.append(compact(each))
                elif key not in _ECHOES:
                    self.add(each, output=key in self._names or key == "delta")


def _delta(event: Doc) -> Doc:
    """Return an event without what repeats other events: a whole response, or OpenAI's `.done` events."""
    kind = event.get("type")
    if isinstance(kind, str) and kind.startswith("response.") and kind.endswith(".done"):
        return {}
    return {name: each for name, each in event.items() if not (name == "response" and isinstance(each, dict))}


def completion_of(body: Body, format: Format) -> CompletionText:
    """Return the generated text in the kept part of a body."""
    completion = CompletionText(format.completion_names)
    if is_stream(body.head or body.tail):
        for event in last_events(body)[0]:
            completion.add(_delta(event))
    else:
        for doc in torn_json(body.tail):
            completion.add(doc)
    return completion
