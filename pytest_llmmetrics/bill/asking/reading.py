"""Reads a request: what it asks for, in total and by segment, and a fingerprint that survives another run. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from math import ceil
from typing import Any, NamedTuple

from llmmetrics.testing.harness import asking
from pytest_llmmetrics.bill.asking.blocks import SYSTEM, Block, automatic, blocks_of, canonical, results
from pytest_llmmetrics.bill.asking.volatile import present_time, steady

NO_LIMIT = "none"
"""The output limit of a request that has none."""


class PromptPart(NamedTuple):
    """A block as the cache simulation needs it."""

    place: str
    text: str
    """What the provider compares."""
    tokens: float
    mark: str


class Demand(NamedTuple):
    """What one request asks for. An empty fingerprint: the request could not be read."""

    model: str
    fingerprint: str = ""
    prompt: int = 0
    """Estimated prompt tokens."""
    segments: Mapping[str, int] = {}
    """The same by segment; the frame of the messages is in none."""
    limit: str = ""
    """The output limit in tokens, or `none`; empty: the format has no completion."""
    marks: int = 0
    """Cache marks."""
    clock: str = ""
    """Where the system prompt or a tool says the present time, such as `system[0] at character 17`."""
    results: tuple[str, ...] = ()
    """Digests of the tools' results."""
    parts: tuple[PromptPart, ...] = ()
    automatic: str = ""
    """The lifetime of an automatic cache mark at the end of the prompt; empty: none."""
    explicit: bool = False
    """Whether only written marks are cached (OpenAI's `prompt_cache_options`)."""
    at: float = 0.0
    """When it was sent, in seconds of its meter's clock."""


def demand_of(body: bytes, api: str, model: str, now: datetime, seconds: float, ignored: Iterable[str]) -> Demand:
    """Read a request. `now` is the end of its call, `seconds` how long it took; `ignored` are paths of its body."""
    fields, format = asking.fields_of(body), asking.format_of(api)
    at = now.timestamp() - seconds
    if fields is None or format is None:
        return Demand(model, at=at)
    fields = without(fields, ignored)
    blocks, plain = blocks_of(fields, asking.prompt_names(format)), steady(fields)
    frame = _frame(format, model)
    whole = [(each, asking.tokens_of(steady(each.fields), format, model)) for each in blocks]
    tokens = [max(n - frame, 0.0) if each.framed else n for each, n in whole]
    segments: dict[str, float] = {}
    for block, n in zip(blocks, tokens, strict=True):
        segments[block.segment] = segments.get(block.segment, 0) + n
    most = asking.output_limit(fields, format)
    return Demand(
        model,
        fingerprint=_digest(canonical(_without_settings(plain))),
        prompt=ceil(asking.tokens_of(plain, format, model)),
        segments={name: ceil(n) for name, n in sorted(segments.items()) if ceil(n)},
        limit=NO_LIMIT if most is None else str(most) if most else "",
        marks=sum(bool(each.mark) for each in blocks) + bool(automatic(fields)),
        clock=_clock(blocks, now),
        results=tuple(map(_digest, results(blocks))),
        parts=tuple(PromptPart(each.place, each.text, n, each.mark) for each, n in zip(blocks, tokens, strict=True)),
        automatic=automatic(fields),
        explicit=_mode(fields) == "explicit",
        at=at,
    )


@lru_cache(maxsize=64)
def _frame(format: asking.Format, model: str) -> float:
    """Return the tokens of a prompt with messages that belong to no message."""
    for name in asking.prompt_names(format).messages:
        one, two = (asking.tokens_of({name: [{}] * n}, format, model) for n in (1, 2))
        return 2 * one - two
    return 0.0


def without(fields: dict[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """Return a request without the values at these paths, such as `metadata.run` or `messages[*].id`."""
    for path in paths:
        fields = _dropped(fields, [each for each in re.split(r"\.|(?=\[)", path) if each])
    return fields


def _dropped(value: Any, path: list[str]) -> Any:
    if not path:
        return value
    name, rest = path[0], path[1:]
    if name.startswith("[") and isinstance(value, list):
        hits = [name[1:-1] in {"*", str(n)} for n in range(len(value))]
        pairs = zip(value, hits, strict=True)
        return [_dropped(each, rest) if hit else each for each, hit in pairs if rest or not hit]
    if isinstance(value, dict) and name in value:
        kept = {key: each for key, each in value.items() if key != name}
        return {**kept, name: _dropped(value[name], rest)} if rest else kept
    return value


_SETTINGS = frozenset({"model", "max_tokens", "max_completion_tokens", "max_output_tokens", "stream", "stream_options"})
"""Fields that stand in a row of their own, or that do not change what is asked."""


def _without_settings(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key not in _SETTINGS}


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf8", "replace"), digest_size=4).hexdigest()


def _clock(blocks: Iterable[Block], now: datetime) -> str:
    for block in blocks:
        prefix = block.segment == SYSTEM or block.segment.startswith("tool ")
        if prefix and (position := present_time(block.words, now)) is not None:
            return f"{block.place} at character {position + 1}"
    return ""


def _mode(fields: Mapping[str, Any]) -> Any:
    options = fields.get("prompt_cache_options")
    return options.get("mode") if isinstance(options, dict) else None
