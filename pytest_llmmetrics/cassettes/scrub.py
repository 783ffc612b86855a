"""What of a request and its answer may be kept: what is on these lists, nothing else. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

REQUEST_HEADERS = frozenset({"accept", "anthropic-beta", "anthropic-version", "content-type", "openai-beta"})
RESPONSE_HEADERS = frozenset({"content-type", "retry-after", "retry-after-ms", "x-should-retry"})
LIMITS = ("x-ratelimit-", "anthropic-ratelimit-")
"""Response headers that begin so are kept, too: SDKs and applications act on them."""
QUERY = frozenset({"alt", "api-version", "beta"})
SCRUBBED = "[scrubbed]"

_CREDENTIAL = re.compile(
    r"api[-_]?key|authorization|cookie|credential|passw(or)?d|secret|(^|[-_])(key|token|sig|signature)$", re.IGNORECASE
)
"""A name whose value opens something. `max_tokens` and `token_type` do not."""
# a `token` alone is a model's word: logprobs are full of them
_JSON_CREDENTIAL = re.compile(
    r"api[-_]?key|^authorization$|passw(or)?d|client_secret|secret_?key|^secret$"
    r"|(access|auth|bearer|refresh|session|id)_?token$",
    re.IGNORECASE,
)


def url(given: str) -> str:
    """The URL without a user's name and without what is not on the list of query parameters."""
    parts = urlsplit(given)
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name in QUERY]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, urlencode(sorted(kept)), ""))


def request_headers(given: Mapping[str, Any]) -> dict[str, list[str]]:
    """The request's headers that are kept, as vcrpy writes them."""
    return _kept(given, lambda name: name in REQUEST_HEADERS)


def response_headers(given: Mapping[str, Any]) -> dict[str, list[str]]:
    """The response's headers that are kept."""
    return _kept(given, lambda name: name in RESPONSE_HEADERS or name.startswith(LIMITS))


def _kept(given: Mapping[str, Any], keep: Any) -> dict[str, list[str]]:
    return {
        name.lower(): [str(each) for each in (value if isinstance(value, list) else [value])]
        for name, value in sorted(given.items())
        if keep(name.lower())
    }


def credentials(given_url: str, headers: Mapping[str, Any]) -> Iterator[str]:
    """The secrets that a request carries, which must be nowhere in what is kept."""
    parts = urlsplit(given_url)
    named = [*headers.items(), *parse_qsl(parts.query), ("password", parts.password or "")]
    for name, value in named:
        for each in value if isinstance(value, list) else [value]:
            token = str(each).rpartition(" ")[2]
            # what is shorter, such as a test's "x", is a part of any text
            if _CREDENTIAL.search(name) and len(token) >= 8:
                yield token


def request_body(given: bytes | None) -> str | bytes | None:
    """A request's body: JSON with its keys sorted, so that it is the same however it was written."""
    if not given:
        return None
    try:
        return json.dumps(_clean(json.loads(given)), sort_keys=True, ensure_ascii=False)
    except ValueError:
        return text(given)


def response_body(given: bytes) -> str | bytes:
    """A response's body as it came, but for the values of keys that hold credentials."""
    try:
        value = json.loads(given)
    except ValueError:
        return text(b"\n".join(_line(each) for each in given.split(b"\n")))
    cleaned = _clean(value)
    return text(given) if cleaned == value else json.dumps(cleaned, ensure_ascii=False)


def _line(line: bytes) -> bytes:
    """A line of a stream, of Server-Sent Events or of JSON."""
    start = line.find(b"{")
    if line[:start].strip() not in (b"", b"data:"):
        return line
    try:
        value = json.loads(line[start:])
    except ValueError:
        return line
    cleaned = _clean(value)
    if cleaned == value:
        return line
    return line[:start] + json.dumps(cleaned, ensure_ascii=False).encode() + line[len(line.rstrip()) :]


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _value(key, each) for key, each in value.items()}
    return [_clean(each) for each in value] if isinstance(value, list) else value


def _value(key: str, value: Any) -> Any:
    return SCRUBBED if isinstance(value, str) and _JSON_CREDENTIAL.search(key) else _clean(value)


def text(given: bytes) -> str | bytes:
    """Words as words; what is none stays bytes."""
    try:
        return given.decode("utf8")
    except UnicodeDecodeError:
        return given
