"""Finds what looks like a secret: providers' keys by pattern, other tokens by randomness. Pure."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

_DIGIT = r"(?=[\w-]*\d)"
PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (what, re.compile(pattern))
    for what, pattern in (
        # keys of OpenRouter and DeepSeek too
        ("an OpenAI or Anthropic key", rf"\bsk-{_DIGIT}[\w-]{{16,}}"),
        ("a Google key", r"\bAIza[\w-]{30,}"),
        ("a Google token", r"\bya29\.[\w-]{20,}"),
        ("an xAI key", r"\bxai-[A-Za-z0-9]{20,}"),
        ("a Groq key", r"\bgsk_[A-Za-z0-9]{20,}"),
        ("a Hugging Face token", r"\bhf_[A-Za-z0-9]{20,}"),
        ("a Perplexity key", r"\bpplx-[A-Za-z0-9]{20,}"),
        ("an NVIDIA key", r"\bnvapi-[\w-]{20,}"),
        ("a Replicate token", r"\br8_[A-Za-z0-9]{20,}"),
        ("an AWS key", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
        ("a GitHub token", r"\b(?:gh[pousr]_|github_pat_)\w{20,}"),
        ("a JWT", r"\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{5,}"),
        ("a private key", r"-----BEGIN [A-Z ]*PRIVATE KEY"),
        ("a credential of an Authorization header", r"(?i:\b(?:bearer|basic))\s+(?=[^\s\"]*\d)[\w.~+/=-]{12,}"),
    )
)

OPAQUE = frozenset(
    {"id", "signature", "thoughtsignature", "thought_signature", "encrypted_content", "obfuscation", "data"}
    | {"embedding", "embeddings", "b64_json", "system_fingerprint", "etag", "responseid"}
)
"""JSON keys whose values are random, but not secret; keys that end in `_id` are such keys too."""

_RANDOM = re.compile(r"[A-Za-z0-9_+/=-]{32,}")
_BITS = 4.0


class SuspectedSecret(NamedTuple):
    """Where something looks like a secret, and what kind. The value itself is never shown."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where} looks like {self.what}"


def patterns_in(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield the places that match a pattern of a provider's keys."""
    for what, pattern in PATTERNS:
        for match in pattern.finditer(text):
            yield what, match.start(), match.end()


def random_in(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield the places with a token as random as a key: long, with lower case, upper case and digits."""
    for match in _RANDOM.finditer(text):
        token = match[0]
        kinds = (any(map(test, token)) for test in (str.islower, str.isupper, str.isdigit))
        if all(kinds) and _entropy(token) > _BITS:
            yield "a long random token", match.start(), match.end()


def _entropy(token: str) -> float:
    size = len(token)
    return -sum(n / size * math.log2(n / size) for n in Counter(token).values())


def redact(text: str) -> str:
    """Replace what looks like a secret in a text for a message."""
    for _, pattern in PATTERNS:
        text = pattern.sub("[…]", text)
    return _RANDOM.sub(lambda match: "[…]" if any(random_in(match[0])) else match[0], text)


def scan(document: Any, text: str, known: Collection[str] = (), opaque: Collection[str] = ()) -> list[SuspectedSecret]:
    """Find what looks like a secret in a cassette: in its values, in joined pieces of a stream, and in its text.

    `known` are the credentials of the requests; `opaque` are more JSON keys with random values.
    """
    spared = OPAQUE | {each.lower() for each in opaque}
    secrets: dict[SuspectedSecret, None] = {}
    words: dict[str, list[str]] = {}
    for path, key, value in leaves(document, ""):
        for what, _, _ in patterns_in(value):
            secrets[SuspectedSecret(path, what)] = None
        if any(each in value for each in known):
            secrets[SuspectedSecret(path, "a credential that was sent with the request")] = None
        if key not in spared and not key.endswith("_id"):
            for what, _, _ in random_in(value):
                secrets[SuspectedSecret(path, what)] = None
        words.setdefault(re.sub(r"\.event\[\d+\]", ".event[]", path), []).append(value)
    for path, pieces in words.items():
        joined = "".join(pieces)
        if len(pieces) > 1 and (any(patterns_in(joined)) or any(each in joined for each in known)):
            secrets[SuspectedSecret(path, "a secret, joined from the events of the stream")] = None
    if not secrets:
        # last check: the whole text, for what is in no value
        for what, start, _ in patterns_in(text):
            secrets[SuspectedSecret(f"line {text.count(chr(10), 0, start) + 1}", what)] = None
    return list(secrets)


def leaves(value: Any, path: str, key: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield every string in a document, with its path and its key. JSON and streams inside a string are parsed."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from leaves(each, f"{path}.{name}" if path else str(name), str(name).lower())
    elif isinstance(value, list | tuple):
        for n, each in enumerate(value):
            yield from leaves(each, f"{path}[{n}]", key)
    elif isinstance(value, bytes):
        yield path, key, value.decode("latin1")
    elif isinstance(value, str):
        inner = opened(value)
        if inner is None:
            yield path, key, value
        else:
            yield from leaves(inner, path, key)


def opened(text: str) -> Any:
    """Parse the JSON in a string, or a stream's events as a mapping; None: plain text."""
    start = text.lstrip()[:1]
    if start in ("{", "["):
        try:
            return json.loads(text)
        except ValueError:
            pass
    lines = [line.partition("data:")[2] or line for line in text.splitlines() if line.strip()]
    docs = [doc for line in lines if line.strip()[:1] == "{" and (doc := _json(line)) is not None]
    return {f"event[{n}]": doc for n, doc in enumerate(docs)} if docs else None


def _json(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
