"""The conversation in a request, in one form for every wire format: roles and texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llmmetrics.wire import PromptNames

_ROLES = {"model": "assistant"}


def conversation(fields: Mapping[str, Any], names: PromptNames) -> list[dict[str, str]]:
    """Read the system text and the turns of a request's body."""
    turns = [{"role": "system", "content": text(fields[name])} for name in names.system if fields.get(name)]
    for name in (*names.messages, *names.texts):
        if fields.get(name):
            return [*turns, *_turns(fields[name])]
    return turns


def _turns(value: Any) -> Iterator[dict[str, str]]:
    if not isinstance(value, list):
        yield {"role": "user", "content": text(value)}
        return
    for turn in value:
        role = turn.get("role", "user") if isinstance(turn, Mapping) else "user"
        yield {"role": _ROLES.get(role, role), "content": text(turn)}


def text(value: Any) -> str:
    """Join the texts in a message, a list of parts, or a part; skip everything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(text, value))
    if isinstance(value, Mapping):
        return next((text(value[name]) for name in ("content", "parts", "text", "prompt") if value.get(name)), "")
    return ""
