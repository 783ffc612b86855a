"""Compares the shape of a live answer with the recorded one: paths added, removed, of another type. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from llmmetrics.testing.harness import json_of
from pytest_llmmetrics.cassettes.aws_messages import inner_text, messages_of

Shape = dict[str, frozenset[str]]


class Drift(NamedTuple):
    """One change. `path` is a JSON path, `$.choices[].message`; an event of a stream has its type before it."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


_TYPES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}


def shape(body: bytes) -> Shape:
    """Return the types at every path of a body: a document, or the events of a stream, merged by event type."""
    types: dict[str, set[str]] = defaultdict(set)
    for prefix, value in _documents(body):
        for path, kind in _walk(value, f"{prefix}$"):
            types[path].add(kind)
    return {path: frozenset(kinds) for path, kinds in types.items()}


def _documents(body: bytes) -> Iterator[tuple[str, Any]]:
    if messages := messages_of(body):
        for each in messages:
            inner = inner_text(json_of(each.payload))
            yield from _documents(each.payload if inner is None else inner.encode())
        return
    document = json_of(body)
    if document is not None:
        yield "", document
        return
    name = ""
    for line in body.splitlines():
        field, _, rest = line.partition(b":")
        if field == b"event":
            name = rest.strip().decode("utf8", "replace")
        data = rest if field == b"data" else line
        value = json_of(data)
        if value is None:
            # a line without JSON, or [DONE]
            continue
        kind = name or (value.get("type") if isinstance(value, dict) else "")
        name = ""
        # the number of pings is random
        if kind != "ping":
            yield f"{kind} " if isinstance(kind, str) and kind else "", value


def _walk(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if value is None:
        # a null does not show the type of the value
        yield path, "null"
        return
    yield path, _TYPES[type(value)]
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _walk(each, f"{path}.{key}")
    elif isinstance(value, list):
        for each in value:
            yield from _walk(each, f"{path}[]")


_NOTHING: frozenset[str] = frozenset()
_NULL = frozenset({"null"})


def compare(recorded: Shape, live: Shape) -> list[Drift]:
    """List the paths that were added, removed or have another type.

    A path below a reported path, or below one that is null or empty on one side, is not reported.
    """
    changes: dict[str, str] = {}
    for path in sorted(recorded.keys() | live.keys()):
        if any(_below(path, each) for each in changes) or _hidden(path, recorded, live):
            continue
        before, now = recorded.get(path, _NOTHING), live.get(path, _NOTHING)
        if not before:
            changes[path] = f"added ({_named(now)})"
        elif not now:
            changes[path] = f"removed ({_named(before)})"
        elif before - _NULL and now - _NULL and not (before & now) - _NULL:
            changes[path] = f"was {_named(before)}, is {_named(now)}"
    return [Drift(path, what) for path, what in changes.items()]


def _below(path: str, other: str) -> bool:
    return path.startswith((f"{other}.", f"{other}["))


def _hidden(path: str, recorded: Shape, live: Shape) -> bool:
    """Tell whether the side without this path has a null or an empty list above it."""
    for side in (recorded, live):
        parent = path
        while parent and parent not in side:
            parent = parent.removesuffix("[]") if parent.endswith("[]") else parent.rpartition(".")[0]
        if parent and parent != path and (side[parent] <= _NULL or path.startswith(f"{parent}[]")):
            return True
    return False


def _named(kinds: frozenset[str]) -> str:
    return " or ".join(sorted(kinds))
