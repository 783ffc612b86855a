"""Estimates the tokens of a call whose usage the wire does not carry, from its request and its answer.

No tokenizer: a few weights for kinds of characters, and what each family of models adds (`families`).
docs/estimates.md says how far off they are and how that is measured. An estimate is marked as one wherever it is
counted.
"""

from __future__ import annotations

from math import ceil
from typing import Any

from llmmetrics import wire
from llmmetrics.wire.estimation.completion_text import completion_of
from llmmetrics.wire.estimation.media import Medium
from llmmetrics.wire.estimation.prompt import parts_of
from llmmetrics.wire.families import ModelFamily, tiles
from llmmetrics.wire.format import NO_COMPLETION, Format
from llmmetrics.wire.framing.body_buffer import Body
from llmmetrics.wire.framing.frames import parse

VERSION = 2
"""The estimator's version. Raise it if the same bytes give other counts: those cannot be compared."""

_WEIGHTS = (
    (b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", 0.16),
    # a space stands for a word, and most tokens are words
    (b" \t\r\n", 0.36),
    (b"0123456789", 0.34),
    (bytes(range(0x21, 0x7F)), 0.70),
    # UTF-8 by its first byte: Latin with accents, Cyrillic, Arabic; Chinese, Japanese, Korean; other; emoji
    (bytes(range(0xC0, 0xE0)), 0.4),
    (bytes(range(0xE3, 0xEE)), 0.8),
    (bytes(range(0xE0, 0xF0)), 0.9),
    (bytes(range(0xF0, 0x100)), 2.0),
)
"""Tokens per character, by its kind; for a byte in two rows, the first row counts."""


OTHERS = ModelFamily(None, 0.97, 0.55, 3, 4, 0, 1, 7, 1, tiles(85, 170))
"""OpenAI's models, and all that no format's `families` name."""

_SECONDS = 30.0
"""The length of a sound or film, if it is not known."""


def text_tokens(text: str) -> float:
    """Estimate the tokens of a text."""
    rest, tokens = text.encode("utf8", "replace"), 0.0
    for kind, weight in _WEIGHTS:
        left = rest.translate(None, kind)
        tokens += (len(rest) - len(left)) * weight
        rest = left
    return tokens


def family_of(*names: str | None) -> ModelFamily:
    """Return the family of the first name, of a model or vendor, that a family's pattern matches."""
    lower = (name.lower() for name in names if name)
    matching = (family for name in lower for format in wire.FORMATS for family in format.families if family.has(name))
    return next(matching, OTHERS)


def _medium(medium: Medium, family: ModelFamily) -> float:
    if medium.kind == "image":
        return family.image(medium.width, medium.height)
    if medium.kind == "document":
        return family.page * max(medium.pages, 1)
    return (family.audio if medium.kind == "audio" else family.video) * (medium.seconds or _SECONDS)


def prompt_tokens(request_body: bytes, format: Format, model: str | None = None) -> int:
    """Estimate the prompt tokens of a request in this format to this model."""
    fields = parse(request_body)
    if not isinstance(fields, dict):
        return ceil(text_tokens(request_body.decode("utf8", "replace")))
    return ceil(fields_tokens(fields, format, model))


def fields_tokens(fields: dict[str, Any], format: Format, model: str | None = None) -> float:
    """Estimate the prompt tokens of a request's JSON object."""
    family = family_of(model, wire.model_of(format, fields), format.vendor)
    parts = parts_of(fields, wire.prompt_names(format))
    tokens = text_tokens("".join(parts.texts)) * family.text + parts.tokens
    tokens += sum(_medium(each, family) for each in parts.media)
    if not format.plain_prompt:
        tokens += (family.base if parts.turns else 0) + family.turn * parts.turns
        tokens += (family.tools if parts.tools else 0) + family.tool * parts.tools
        tokens += text_tokens("".join(parts.schemas)) * family.schema
    return tokens


def completion_tokens(body: Body, format: Format, model: str | None = None) -> int:
    """Estimate the completion tokens of a body: from the kept text, in proportion for the part that was not kept."""
    kept = len(body.tail)
    if not kept or format.output_limits == NO_COMPLETION:
        return 0
    completion = completion_of(body, format)
    if not completion.texts:
        return 0
    family = family_of(model, format.vendor)
    tokens = text_tokens("".join(completion.texts)) * family.text + family.call * completion.calls + family.end
    return ceil(tokens * body.total / kept)
