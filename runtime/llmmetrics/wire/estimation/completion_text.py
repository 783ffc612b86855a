"""What a model has written of an answer that passed, whatever format it is in: its text and its calls of tools."""

from __future__ import annotations

from typing import Any

from llmmetrics.wire.body_buffer import Body
from llmmetrics.wire.estimation.prompt import compact
from llmmetrics.wire.format import Format, text
from llmmetrics.wire.frames import Doc, is_stream, last_events, torn_json

_ECHOES = frozenset(
    {
        *("tools", "instructions", "usage", "error", "metadata", "logprobs", "reasoning_details"),
        *("citations", "annotations", "search_results", "documents", "sources"),
        *("citationMetadata", "groundingMetadata"),
    }
)
"""What repeats something, or was not generated."""
_CALLS = frozenset({"arguments", "input", "args", "parameters", "toolUseId"})
"""What stands beside the name of a tool that is called."""


class CompletionText:
    """What a model has written. `names` are the fields of its format that hold generated text."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self.texts: list[str] = []
        self.calls = 0

    def add(self, value: Any, *, output: bool = False) -> None:
        """Find the generated text in a JSON value; `output` says that a string is some."""
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
    """An event without what repeats other events: a whole response in it, or what OpenAI's say is done."""
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
