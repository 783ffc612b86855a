"""Token counts of a call whose usage the wire does not carry: from what was asked and from what passed.

No tokenizer: a few weights for kinds of characters, and a row for each family of models with what it adds of its own.
docs/estimates.md says how far off they are and how that is measured. An estimate is marked as one wherever it is
counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import ceil
from typing import NamedTuple

from llmmetrics.wire.body_buffer import Body
from llmmetrics.wire.estimation.completion_text import passed_of
from llmmetrics.wire.estimation.media import Medium
from llmmetrics.wire.estimation.prompt import parts_of
from llmmetrics.wire.frames import parse

VERSION = 1
"""The estimator's version: one more when other counts come out for the same bytes, since they do not compare."""

_WEIGHTS = (
    (b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", 0.16),
    # a space stands for a word, which is the most of what a token is
    (b" \t\r\n", 0.36),
    (b"0123456789", 0.34),
    (bytes(range(0x21, 0x7F)), 0.70),
    # UTF-8 by its first byte: Latin with accents, Cyrillic, Arabic; Chinese, Japanese, Korean; other; emoji
    (bytes(range(0xC0, 0xE0)), 0.4),
    (bytes(range(0xE3, 0xEE)), 0.8),
    (bytes(range(0xE0, 0xF0)), 0.9),
    (bytes(range(0xF0, 0x100)), 2.0),
)
"""Tokens a character, by what it is; of bytes in two rows the first holds."""


def _tiles(base: int, tile: int) -> Callable[[int, int], float]:
    """https://platform.openai.com/docs/guides/images-vision: tiles of 512 pixels, the short side at most 768."""

    def image(width: int, height: int) -> float:
        if not width or not height:
            width = height = 1024
        scale = min(1.0, 2048 / max(width, height))
        scale *= min(1.0, 768 / (min(width, height) * scale))
        return base + tile * ceil(width * scale / 512) * ceil(height * scale / 512)

    return image


def _area(width: int, height: int) -> float:
    """https://docs.anthropic.com/en/docs/build-with-claude/vision: 750 pixels a token, at most 1568 pixels a side."""
    if not width or not height:
        return 1500
    scale = min(1.0, 1568 / max(width, height))
    return min(1600.0, width * height * scale * scale / 750)


def _crops(width: int, height: int) -> float:
    """https://ai.google.dev/gemini-api/docs/image-understanding: 258 tokens a tile of 768 pixels, at most 16."""
    if max(width, height) <= 384:
        return 258
    return 258 * min(ceil(width / 768), 4) * min(ceil(height / 768), 4)


class ModelFamily(NamedTuple):
    """What a family of models adds, in tokens."""

    text: float
    """For each token of text by the weights."""
    schema: float
    """The same for the JSON of tools and of the answer's form."""
    base: float
    turn: float
    tools: float
    """Once, where there are any."""
    tool: float
    call: float
    """What a call of a tool takes of the completion, besides its name and arguments."""
    end: float
    """What a completion has beside its text."""
    image: Callable[[int, int], float] = _area
    """By width and height in pixels, which are 0 where nobody knows them."""
    page: float = 300
    audio: float = 10
    """A second."""
    video: float = 260


_OTHERS = ModelFamily(0.97, 0.55, 3, 4, 0, 1, 7, 1, _tiles(85, 170))
"""OpenAI's models, and everyone else's."""

_FAMILIES = (
    (re.compile("claude|anthropic"), ModelFamily(1.05, 1.1, 3, 6, 415, 65, 32, 4, page=1700)),
    (re.compile("gemini|gemma|google"), ModelFamily(0.97, 0.2, 0, 1, 0, 15, 0, 0, _crops, page=258, audio=32)),
    (re.compile("command|cohere"), ModelFamily(1.1, 0.1, 150, 4, 1200, 0, 22, 0)),
    (re.compile("nova"), ModelFamily(1.0, 1.0, 0, 1, 600, 20, 9, 2)),
    (re.compile("llama"), ModelFamily(1.0, 1.0, 15, 5, 250, 20, 20, 2)),
    (re.compile("4o-mini"), _OTHERS._replace(image=_tiles(2833, 5667))),
)

_PLAIN = re.compile(r"embed|rerank|completions|complete$|predict")
"""Formats that hand their text to a model as it is, without a frame of messages."""
_NO_COMPLETION = re.compile(r"embed|rerank")

_SECONDS = 30.0
"""Of a sound or film whose length nobody knows."""


def text_tokens(text: str) -> float:
    """About how many tokens a text is."""
    rest, found = text.encode("utf8", "replace"), 0.0
    for kind, weight in _WEIGHTS:
        left = rest.translate(None, kind)
        found += (len(rest) - len(left)) * weight
        rest = left
    return found


def family_of(*names: str | None) -> ModelFamily:
    """The family of the first of these names, of models and makers, that tells."""
    found = (family for name in names if name for words, family in _FAMILIES if words.search(name.lower()))
    return next(found, _OTHERS)


def _medium(medium: Medium, family: ModelFamily) -> float:
    if medium.kind == "image":
        return family.image(medium.width, medium.height)
    if medium.kind == "document":
        return family.page * max(medium.pages, 1)
    return (family.audio if medium.kind == "audio" else family.video) * (medium.seconds or _SECONDS)


def prompt_tokens(request_body: bytes, api: str = "", vendor: str = "", model: str | None = None) -> int:
    """About how many tokens a request asks to read. `api` is its wire format's id, `vendor` whose that is."""
    fields = parse(request_body)
    if not isinstance(fields, dict):
        return ceil(text_tokens(request_body.decode("utf8", "replace")))
    named = fields.get("model")
    family = family_of(model, named if isinstance(named, str) else None, vendor)
    parts = parts_of(fields)
    found = text_tokens("".join(parts.texts)) * family.text + parts.tokens
    found += sum(_medium(each, family) for each in parts.media)
    if not _PLAIN.search(api):
        found += (family.base if parts.turns else 0) + family.turn * parts.turns
        found += (family.tools if parts.tools else 0) + family.tool * parts.tools
        found += text_tokens("".join(parts.schemas)) * family.schema
    return ceil(found)


def completion_tokens(body: Body, api: str = "", vendor: str = "", model: str | None = None) -> int:
    """About how many tokens passed: by the text that was kept, and as much again for what was not."""
    kept = len(body.tail)
    if not kept or _NO_COMPLETION.search(api):
        return 0
    passed = passed_of(body)
    if not passed.texts:
        return 0
    family = family_of(model, vendor)
    found = text_tokens("".join(passed.texts)) * family.text + family.call * passed.calls + family.end
    return ceil(found * body.total / kept)
