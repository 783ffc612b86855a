"""Cuts a request into blocks, in the order in which providers cache them: tools, form of the answer, system, messages.

A block is a tool, a part of the system prompt or a part of a message. Each belongs to a segment of the prompt.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from llmmetrics.testing.harness import asking

_TOOLS = ("tools", "functions", "toolConfig")
_FORMS = ("response_format", "output_format", "output_config", "format", "text", "generationConfig")
_MARKS = ("cache_control", "cachePoint", "prompt_cache_breakpoint")
_SYSTEM_ROLES = frozenset({"system", "developer"})
_RESULT_ROLES = frozenset({"tool", "function"})
_RESULT_KEYS = frozenset({"functionResponse", "toolResult", "function_response"})
_FILE_KEYS = frozenset({"inlineData", "inline_data", "fileData", "file_data", "image", "document", "video", "images"})
_FILE_TYPES = frozenset(
    {
        *("image", "image_url", "input_image", "document", "document_url", "file", "input_file", "audio"),
        *("input_audio", "video", "video_url"),
    }
)

SYSTEM, RESULTS, FILES, FORM, PROMPT = "system", "tool results", "images and files", "answer format", "prompt"


class Block(NamedTuple):
    """A part of a request."""

    place: str
    """Such as `system[0]` or `messages[2].content[1]`."""
    segment: str
    """`system`, `tool "search"`, `user`, `assistant`, `tool results`, `images and files`."""
    fields: dict[str, Any]
    """A request with this block alone, whose tokens can be estimated."""
    mark: str
    """The lifetime of the cache mark after it, such as `5m`; empty: no mark."""

    framed: bool
    """Whether its fields hold a message, so that an estimate of them has the frame of the messages too."""
    words: str
    """The text inside it; the JSON of a tool."""

    @property
    def text(self) -> str:
        """The block as the provider compares it: its words first, then its JSON without marks."""
        return f"{self.words}\0{canonical(unmarked(self.fields))}"


def canonical(value: Any) -> str:
    """Return JSON that does not depend on the order of keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def unmarked(value: Any) -> Any:
    """Return a JSON value without cache marks."""
    if isinstance(value, dict):
        return {key: unmarked(each) for key, each in value.items() if key not in _MARKS}
    return [unmarked(each) for each in value] if isinstance(value, list) else value


def blocks_of(fields: Mapping[str, Any], names: asking.PromptNames) -> list[Block]:
    """Cut a request into blocks; `names` are the fields of its format that hold the prompt."""
    blocks = [*_tools(fields), *_forms(fields), *_systems(fields, names.system), *_turns(fields, names.messages)]
    texts = [(name, value) for name in names.texts if (value := fields.get(name)) is not None]
    blocks += [_block(name, PROMPT, {name: value}, value) for name, value in texts]
    # Bedrock's mark is an element of its own, after what it marks
    joined: list[Block] = []
    for each in blocks:
        if each.segment == "" and joined:
            joined[-1] = joined[-1]._replace(mark=each.mark)
        elif each.segment:
            joined.append(each)
    return joined


def automatic(fields: Mapping[str, Any]) -> str:
    """Return the lifetime that a request asks for its whole prompt (Anthropic's top-level `cache_control`), or ``."""
    return _mark({"cache_control": fields.get("cache_control")})


def _block(place: str, segment: str, fields: dict[str, Any], holder: Any, *, framed: bool = False) -> Block:
    alone = isinstance(holder, dict) and set(holder) == {"cachePoint"}
    return Block(place, "" if alone else segment, fields, _mark(holder), framed, _words(holder))


def _words(holder: Any) -> str:
    if isinstance(holder, dict):
        named = next((name for name in ("text", "content") if isinstance(holder.get(name), str)), None)
        return holder[named] if named else canonical(unmarked(holder))
    return holder if isinstance(holder, str) else canonical(holder)


def _mark(holder: Any) -> str:
    if not isinstance(holder, dict):
        return ""
    for name in _MARKS:
        if isinstance(mark := holder.get(name), dict):
            ttl = mark.get("ttl")
            return ttl if isinstance(ttl, str) else "5m"
    # a tool's result holds its parts
    inner = holder.get("content")
    return next(filter(None, map(_mark, inner)), "") if isinstance(inner, list) else ""


def _tools(fields: Mapping[str, Any]) -> Iterator[Block]:
    for name in _TOOLS:
        value = fields.get(name)
        nested = isinstance(value, dict)
        listed = value.get("tools") if isinstance(value, dict) else value
        for n, tool in enumerate(listed if isinstance(listed, list) else ()):
            inner = tool.get("functionDeclarations") if isinstance(tool, dict) else None
            for each in inner if isinstance(inner, list) else (tool,):
                held = {"functionDeclarations": [each]} if isinstance(inner, list) else each
                alone = {name: {"tools": [held]} if nested else [held]}
                yield _block(f"tools[{n}]", f'tool "{_name(each)}"', alone, each)


def _name(tool: Any) -> str:
    if isinstance(tool, dict):
        holders = (tool, tool.get("function"), tool.get("toolSpec"), {"name": tool.get("type")})
        for holder in holders:
            if isinstance(holder, dict) and isinstance(name := holder.get("name"), str):
                return name
    return "?"


def _forms(fields: Mapping[str, Any]) -> Iterator[Block]:
    for name in _FORMS:
        value = fields.get(name)
        if isinstance(value, dict) and '"properties"' in (written := canonical(value)) and len(written) > 2:
            yield _block(name, FORM, {name: value}, value)


def _systems(fields: Mapping[str, Any], names: Sequence[str]) -> Iterator[Block]:
    for name in names:
        value = fields.get(name)
        if isinstance(value, dict) and isinstance(value.get("parts"), list):
            value = value["parts"]
        if value is not None:
            for n, part in enumerate(value if isinstance(value, list) else [value]):
                yield _block(f"{name}[{n}]", SYSTEM, {name: [part] if isinstance(part, dict) else part}, part)


def _turns(fields: Mapping[str, Any], names: Sequence[str]) -> Iterator[Block]:
    # Cohere's present message is a text: it follows the list of those before
    for name in sorted(names, key=lambda name: isinstance(fields.get(name), str)):
        value = fields.get(name)
        if isinstance(value, str):
            yield _block(name, "user", {name: value}, value, framed=True)
        for n, turn in enumerate(value if isinstance(value, list) else ()):
            if not isinstance(turn, dict):
                yield _block(f"{name}[{n}]", "user", {name: [turn]}, turn, framed=True)
            else:
                yield from _parts(name, n, turn)


def _parts(name: str, n: int, turn: dict[str, Any]) -> Iterator[Block]:
    role = turn.get("role")
    said = "assistant" if role in {"assistant", "model", "CHATBOT"} else role if isinstance(role, str) else "user"
    segment = SYSTEM if said in _SYSTEM_ROLES else RESULTS if said in _RESULT_ROLES else said.lower()
    inner = next((key for key in ("content", "parts") if isinstance(turn.get(key), list)), None)
    if inner is None:
        yield _block(f"{name}[{n}]", _kind(turn, segment), {name: [turn]}, turn, framed=True)
        return
    for k, part in enumerate(turn[inner]):
        alone = {**{key: turn[key] for key in turn if key != inner and (k == 0 or key == "role")}, inner: [part]}
        yield _block(f"{name}[{n}].{inner}[{k}]", _kind(part, segment), {name: [alone]}, part, framed=True)


def _kind(part: Any, segment: str) -> str:
    if not isinstance(part, dict):
        return segment
    kind = part.get("type")
    if isinstance(kind, str):
        if kind.endswith(("_result", "_call_output")):
            return RESULTS
        if kind in _FILE_TYPES:
            return FILES
        if kind in {"function_call", "reasoning"}:
            return "assistant"
    if not _RESULT_KEYS.isdisjoint(part):
        return RESULTS
    return segment if _FILE_KEYS.isdisjoint(part) else FILES


def results(blocks: Iterable[Block]) -> Iterator[str]:
    """Yield the texts of the tools' results in a request."""
    return (each.text for each in blocks if each.segment == RESULTS)
