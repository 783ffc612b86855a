"""Finds what looks like a secret: providers' keys by their shapes, other tokens by randomness. Pure."""

from __future__ import annotations

import base64
import binascii
import math
import re
import tomllib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from pytest_llmmetrics.cassettes.bodies import leaves, opened

_SHAPES: list[dict[str, str]] = tomllib.loads(Path(__file__).with_name("key_shapes.toml").read_text("utf8"))["shape"]
# one pass over a text for all shapes
_KEYS = re.compile(r"(?<![A-Za-z0-9])(?:" + "|".join(f"({each['pattern']})" for each in _SHAPES) + ")")
_OTHERS = (
    ("a private key", re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY")),
    (
        "a credential of an Authorization header",
        re.compile(r"(?i:\b(?:bearer|basic))\s{1,9}(?=[^\s\"\d]{0,200}\d)[\w.~+/=-]{12,}"),
    ),
)

OPAQUE = frozenset(
    {"id", "signature", "thoughtsignature", "thought_signature", "encrypted_content", "obfuscation", "data"}
    | {"embedding", "embeddings", "b64_json", "system_fingerprint", "etag", "responseid", "images"}
)
"""JSON keys whose values are random, but not secret; keys that end in `_id` are such keys too."""

DATA_URL = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w=.+-]+)*;base64,")

UUID = re.compile(r"(?i:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")

_RUN = re.compile(r"[A-Za-z0-9_+/=-]{32,}")
_PART = re.compile(rf"{UUID.pattern}|[a-z0-9]{{32,}}|[0-9a-fA-F]{{32,}}")
"""What may be a key inside a run: a UUID, hexadecimal digits, lower case with digits."""
_ENCODED = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_BITS = 4.0
_BITS_OF_HEX = 3.0
_DIGITS = 4
"""How many a key of lower case and digits has at least; a long word with a number has fewer."""
_DEPTH = 3


class SuspectedSecret(NamedTuple):
    """Where something looks like a secret, and what kind. The value itself is never shown."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where} looks like {self.what}"


def patterns_in(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield the places that have the shape of a provider's key."""
    for match in _KEYS.finditer(text):
        yield _SHAPES[(match.lastindex or 1) - 1]["what"], match.start(), match.end()
    for what, pattern in _OTHERS:
        for match in pattern.finditer(text):
            yield what, match.start(), match.end()


def random_in(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield the places with a token as random as a key: long, with lower case, upper case and digits."""
    for match in _RUN.finditer(text):
        if _is_random(match[0]):
            yield "a long random token", match.start(), match.end()


def _is_random(token: str) -> bool:
    kinds = (any(map(test, token)) for test in (str.islower, str.isupper, str.isdigit))
    return all(kinds) and _entropy(token) > _BITS


def perhaps_in(text: str) -> Iterator[tuple[int, int]]:
    """Yield the places that may be a key, or an id or a hash just as well: random tokens, UUIDs, hexadecimal digits.

    A provider's key is none of them: it refuses a recording.
    """
    shaped = [(start, stop) for _, start, stop in patterns_in(text)]
    for start, stop in _random_parts(text):
        while shaped and shaped[0][1] <= start:
            shaped.pop(0)
        if not shaped or shaped[0][0] >= stop:
            yield start, stop


def _random_parts(text: str) -> Iterator[tuple[int, int]]:
    for run in _RUN.finditer(text):
        parts = [
            (run.start() + part.start(), run.start() + part.end())
            for part in _PART.finditer(run[0])
            if sum(map(str.isdigit, part[0])) >= _DIGITS and _entropy(part[0]) > _BITS_OF_HEX
        ]
        if parts:
            yield from parts
        elif _is_random(run[0]):
            yield run.start(), run.end()


def encoded_in(text: str) -> Iterator[tuple[int, int]]:
    """Yield the tokens that encode in base64 a text with what may be a key."""
    for match in _ENCODED.finditer(text):
        if (plain := decoded(match[0])) and any(any(perhaps_in(each)) for each in readings(plain)):
            yield match.start(), match.end()


def _entropy(token: str) -> float:
    size = len(token)
    return -sum(n / size * math.log2(n / size) for n in Counter(token).values())


def redact(text: str) -> str:
    """Replace what looks like a secret in a text for a message."""
    text = _KEYS.sub("[…]", text)
    for _, pattern in _OTHERS:
        text = pattern.sub("[…]", text)
    return _RUN.sub(lambda match: "[…]" if _is_random(match[0]) else match[0], text)


def readings(text: str, depth: int = _DEPTH) -> Iterator[str]:
    """Yield a text, and what it says without its percent-encoding and its base64."""
    yield text
    if depth == 0:
        return
    if "%" in text and (plain := unquote(text)) != text:
        yield from readings(plain, depth - 1)
    for match in _ENCODED.finditer(text):
        if plain := decoded(match[0]):
            yield from readings(plain, depth - 1)


def decoded(token: str) -> str:
    """Return the printable text that a token encodes in base64; empty: none."""
    body = token.rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
    if len(body) % 4 == 1:
        return ""
    try:
        plain = base64.b64decode(body + "=" * (-len(body) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        return ""
    return plain if plain.replace("\n", "").replace("\r", "").replace("\t", "").isprintable() else ""


def is_spared(key: str, opaque: Collection[str]) -> bool:
    """Tell whether the values of this JSON key are random, but not secret. `opaque` are in lower case."""
    return key in OPAQUE or key in opaque or key.endswith("_id")


def scan(
    document: Any, text: str, known: Mapping[str, str] | None = None, opaque: Collection[str] = ()
) -> list[SuspectedSecret]:
    """Find what looks like a secret in a cassette: in its values, in joined pieces of a stream, and in its text.

    `known` are the values that a cassette does not keep, with what each was; `opaque` are more JSON keys with random
    values.
    """
    lowered = {each.lower() for each in opaque}
    secrets: dict[SuspectedSecret, None] = {}
    words: dict[str, list[str]] = {}
    for leaf in leaves(opened(document)):
        for what in _found_in(leaf.text, known or {}):
            secrets[SuspectedSecret(leaf.path, what)] = None
        if not is_spared(leaf.key, lowered) and not DATA_URL.match(leaf.text):
            for what, _, _ in random_in(leaf.text):
                secrets[SuspectedSecret(leaf.path, what)] = None
        words.setdefault(leaf.stream, []).append(leaf.text)
    for path, pieces in words.items():
        if path and len(pieces) > 1 and any(_found_in("".join(pieces), known or {})):
            secrets[SuspectedSecret(path, "a secret, joined from the events of the stream")] = None
    if not secrets:
        # last check: the whole text, for what is in no value
        for what, start, _ in patterns_in(text):
            secrets[SuspectedSecret(f"line {text.count(chr(10), 0, start) + 1}", what)] = None
    return list(secrets)


def _found_in(text: str, known: Mapping[str, str]) -> Iterator[str]:
    for reading in readings(text):
        for what, _, _ in patterns_in(reading):
            yield what
        for value, what in known.items():
            if value in reading:
                yield what
