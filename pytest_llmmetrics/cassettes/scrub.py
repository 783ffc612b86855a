"""Scrubs requests and answers: keeps the listed headers and parameters, removes credentials. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

REQUEST_HEADERS = frozenset({"accept", "anthropic-beta", "anthropic-version", "content-type", "openai-beta"})
RESPONSE_HEADERS = frozenset({"content-type", "retry-after", "retry-after-ms", "x-should-retry"})
LIMITS = ("x-ratelimit-", "anthropic-ratelimit-")
"""Response headers with these prefixes are kept too: SDKs and applications use them."""
QUERY = frozenset({"alt", "api-version", "beta"})
SCRUBBED = "[scrubbed]"

_CREDENTIAL = re.compile(
    r"api[-_]?key|authorization|cookie|credential|passw(or)?d|secret|(^|[-_])(key|token|sig|signature)$", re.IGNORECASE
)
"""A name whose value is a credential; `max_tokens` and `token_type` are not."""
# not `token` alone: logprobs have that key
_JSON_CREDENTIAL = re.compile(
    r"api[-_]?key|^authorization$|passw(or)?d|client_secret|secret_?key|^secret$"
    r"|(access|auth|bearer|refresh|session|id)_?token$",
    re.IGNORECASE,
)


def url(address: str) -> str:
    """Return a URL without user name and password, and with the listed query parameters only."""
    parts = urlsplit(address)
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name in QUERY]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, urlencode(sorted(kept)), ""))


def request_headers(headers: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the request headers to keep, in vcrpy's form."""
    return _kept(headers, lambda name: name in REQUEST_HEADERS)


def response_headers(headers: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the response headers to keep."""
    return _kept(headers, lambda name: name in RESPONSE_HEADERS or name.startswith(LIMITS))


def _kept(headers: Mapping[str, Any], keep: Any) -> dict[str, list[str]]:
    return {
        name.lower(): [str(each) for each in (value if isinstance(value, list) else [value])]
        for name, value in sorted(headers.items())
        if keep(name.lower())
    }


def credentials(address: str, headers: Mapping[str, Any]) -> Iterator[str]:
    """Yield a request's credentials, which must not be in a cassette."""
    parts = urlsplit(address)
    named = [*headers.items(), *parse_qsl(parts.query), ("password", parts.password or "")]
    for name, value in named:
        for each in value if isinstance(value, list) else [value]:
            token = str(each).rpartition(" ")[2]
            # a shorter value, such as "x", is in any text
            if _CREDENTIAL.search(name) and len(token) >= 8:
                yield token


def request_body(body: bytes | None) -> str | bytes | None:
    """Return a request body; JSON with sorted keys, so that formatting does not matter."""
    if not body:
        return None
    try:
        return json.dumps(_clean(json.loads(body)), sort_keys=True, ensure_ascii=False)
    except ValueError:
        return text(body)


def response_body(body: bytes) -> str | bytes:
    """Return a response body, unchanged except for the values of credential keys."""
    try:
        value = json.loads(body)
    except ValueError:
        return text(b"\n".join(_line(each) for each in body.split(b"\n")))
    cleaned = _clean(value)
    return text(body) if cleaned == value else json.dumps(cleaned, ensure_ascii=False)


def _line(line: bytes) -> bytes:
    """Clean a line of Server-Sent Events or of JSON lines."""
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


def text(body: bytes) -> str | bytes:
    """Decode UTF-8; return other bytes unchanged."""
    try:
        return body.decode("utf8")
    except UnicodeDecodeError:
        return body
