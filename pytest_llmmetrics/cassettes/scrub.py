"""Scrubs requests and answers: keeps the listed headers and parameters, removes credentials. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from pytest_llmmetrics.cassettes.bodies import Leaf, boundary_to_keep, dumps, leaves, parsed, written
from pytest_llmmetrics.cassettes.secrets import DATA_URL, UUID, encoded_in, is_spared, perhaps_in

REQUEST_HEADERS = frozenset({"accept", "anthropic-beta", "anthropic-version", "content-type", "openai-beta"})
RESPONSE_HEADERS = frozenset({"content-type", "retry-after", "retry-after-ms", "x-should-retry"})
LIMITS = ("x-ratelimit-", "anthropic-ratelimit-")
"""Response headers with these prefixes are kept too: SDKs and applications use them."""
QUERY = frozenset({"alt", "api-version", "beta"})
SCRUBBED = "[scrubbed]"

_CREDENTIAL = re.compile(
    r"api[-_]?key|authorization|cookie|credential|passw(or)?d|secret|assertion|(^|[-_])(key|token|sig|signature)$",
    re.IGNORECASE,
)
"""A name whose value is a credential; `max_tokens` and `token_type` are not."""
# not `token` alone: logprobs have that key
_JSON_CREDENTIAL = re.compile(
    r"api[-_]?key|^authorization$|passw(or)?d|client_secret|client_assertion|secret_?key|^secret$"
    r"|(access|auth|bearer|refresh|session|id)_?token$",
    re.IGNORECASE,
)
_OPEN_HEADERS = frozenset(
    {"accept", "accept-encoding", "accept-language", "accept-ranges", "age", "allow", "alt-svc", "cache-control"}
    | {"connection", "content-encoding", "content-length", "content-type", "date", "etag", "expect", "expires", "host"}
    | {"keep-alive", "last-modified", "origin", "pragma", "referer", "server", "te", "traceparent", "tracestate"}
    | {"strict-transport-security", "transfer-encoding", "upgrade", "user-agent", "vary", "via", "nel", "report-to"}
    | {"x-content-type-options", "x-request-id", "request-id", "apim-request-id", "cf-ray", "x-powered-by"}
    | {"x-goog-api-client", "x-cloud-trace-context", "x-client-name", "x-client-version", "x-fireworks-model"}
)
"""Headers that are not kept, and hold no secret: their values may stand in a body as well."""
_OPEN_PREFIXES = (
    *("x-stainless-", "x-envoy-", "x-ms-", "x-amzn-", "openai-", "anthropic-", "cf-", "sec-", "access-control-"),
)
_LEAST = 8
"""Characters. A shorter value, such as "x", is in any text."""
_WORD = re.compile(r"\S+")
_SCRUBBED_IN_URL = quote(SCRUBBED, safe="")


def url(address: str, opaque: Collection[str] = (), more: Collection[str] = ()) -> str:
    """Return a URL without user name and password, and with the listed query parameters and `more` of them only."""
    parts = urlsplit(address)
    kept = [
        (name, _leaf(name, value, opaque)) for name, value in parse_qsl(parts.query) if name in QUERY or name in more
    ]
    path = "/".join(map(_segment, parts.path.replace(_SCRUBBED_IN_URL, SCRUBBED).split("/")))
    query = urlencode(sorted(kept), safe="[]")
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, query, ""))


def _segment(part: str) -> str:
    """Clean a part of a path. The names of models and deployments are many short words."""
    return _text(part) if UUID.search(part) else "-".join(map(_text, part.split("-")))


def request_headers(headers: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the request headers to keep, in vcrpy's form."""
    return {name: values for name, values in _listed(headers) if name in REQUEST_HEADERS}


def response_headers(headers: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the response headers to keep."""
    return {name: values for name, values in _listed(headers) if name in RESPONSE_HEADERS or name.startswith(LIMITS)}


def _listed(headers: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for name, value in sorted(headers.items()):
        values = value if isinstance(value, list) else [value]
        yield name.lower(), [_text(boundary_to_keep(str(each))) for each in values]


def credentials(address: str, headers: Mapping[str, Any], opaque: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """Yield the values of a request or an answer that must not be in a cassette, each with what it was.

    These are the user name and the password of the URL, query parameters with a credential's name, and all headers
    that are not kept, but for those that hold no secret.
    """
    spared = {each.lower() for each in opaque}
    parts = urlsplit(address)
    told = "a credential that was sent with the request"
    for value in (unquote(parts.username or ""), unquote(parts.password or "")):
        if len(value) >= _LEAST:
            yield value, told
    for name, value in parse_qsl(parts.query):
        if _CREDENTIAL.search(name) and len(value) >= _LEAST and name.lower() not in spared:
            yield value, told
    for name, value in headers.items():
        low = name.lower()
        secret = _CREDENTIAL.search(low) is not None
        is_open = low in _OPEN_HEADERS or low.startswith(_OPEN_PREFIXES)
        if _is_kept(low) or low in spared or (is_open and not secret):
            continue
        what = told if secret else f"the value of the header {low}"
        for each in value if isinstance(value, list) else [value]:
            yield from ((token, what) for token in _tokens(low, str(each)) if len(token) >= _LEAST)


def _is_kept(name: str) -> bool:
    return name in REQUEST_HEADERS or name in RESPONSE_HEADERS or name.startswith(LIMITS)


def _tokens(name: str, value: str) -> Iterator[str]:
    """Yield the parts of a header's value that are a secret by themselves."""
    if "cookie" in name:
        for each in value.split(";"):
            yield each.partition("=")[2].strip()
        return
    yield value.strip()
    scheme, _, token = value.strip().rpartition(" ")
    yield token
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(token).decode("utf8", "replace").partition(":")
        except (binascii.Error, ValueError):
            return
        yield from (user, password)


def request_body(body: bytes | None, content_type: str = "", opaque: Collection[str] = ()) -> str | bytes | None:
    """Return a request body; JSON with sorted keys, so that formatting does not matter."""
    if not body:
        return None
    plain = _clean(body, content_type, opaque)
    try:
        return dumps(json.loads(plain), sort_keys=True)
    except (ValueError, RecursionError):
        return text(plain.encode("utf8", "surrogateescape"))


def response_body(body: bytes, content_type: str = "", opaque: Collection[str] = ()) -> str | bytes:
    """Return a response body, unchanged except for what is or may be a credential."""
    return text(_clean(body, content_type, opaque).encode("utf8", "surrogateescape"))


def _clean(body: bytes, content_type: str, opaque: Collection[str]) -> str:
    document = parsed(body.decode("utf8", "surrogateescape"), content_type)
    spared = {each.lower() for each in opaque}
    strict = "form" in content_type
    collected = leaves(document)
    texts = [_cleaned(each, spared, strict=strict) for each in collected]
    _clean_pieces(collected, texts, spared)
    return written(document, texts)


def _cleaned(leaf: Leaf, spared: Collection[str], *, strict: bool) -> str:
    if not leaf.is_name and (_CREDENTIAL if strict else _JSON_CREDENTIAL).search(leaf.key):
        return SCRUBBED
    return _leaf(leaf.key, leaf.text, spared)


def _leaf(key: str, value: str, spared: Collection[str]) -> str:
    return value if is_spared(key, spared) else _text(value)


def _text(value: str) -> str:
    """Replace what may be a key in a text, also where the text is percent-encoded or holds base64."""
    if address := DATA_URL.match(value):
        content = value[address.end() :]
        return f"{address[0]}{SCRUBBED}" if any(encoded_in(content)) else value
    value = _replaced(value, [*perhaps_in(value), *encoded_in(value)])
    return _WORD.sub(_decoded_word, value) if "%" in value else value


def _decoded_word(match: re.Match[str]) -> str:
    word = match[0]
    plain = unquote(word) if "%" in word else word
    spans = list(perhaps_in(plain)) if plain != word else []
    return quote(_replaced(plain, spans), safe="/:?&=[]@,;+", errors="surrogatepass") if spans else word


def _replaced(value: str, spans: Sequence[tuple[int, int]]) -> str:
    pieces, end = [], 0
    for start, stop in sorted(spans):
        if start >= end:
            pieces += [value[end:start], SCRUBBED]
        end = max(end, stop)
    return "".join([*pieces, value[end:]])


def _clean_pieces(collected: Sequence[Leaf], texts: list[str], spared: Collection[str]) -> None:
    """Replace what may be a key in the pieces of a stream's texts: its first piece gets the placeholder."""
    groups: dict[str, list[int]] = {}
    for n, leaf in enumerate(collected):
        if leaf.stream and not is_spared(leaf.key, spared):
            groups.setdefault(leaf.stream, []).append(n)
    for numbers in groups.values():
        if len({texts[n] for n in numbers}) < 2:
            # the name of the model in each event is no text in pieces
            continue
        joined = "".join(texts[n] for n in numbers)
        spans = [*perhaps_in(joined), *encoded_in(joined)]
        if spans:
            cut = _cut(joined, [len(texts[n]) for n in numbers], spans)
            for n, piece in zip(numbers, cut, strict=True):
                texts[n] = piece


def _cut(joined: str, sizes: Sequence[int], spans: Sequence[tuple[int, int]]) -> Iterator[str]:
    """Cut a text into its pieces again, with the placeholder in the place of each span's first character."""
    letters: list[str] = list(joined)
    for start, stop in spans:
        letters[start:stop] = [SCRUBBED, *[""] * (stop - start - 1)]
    start = 0
    for size in sizes:
        yield "".join(letters[start : start + size])
        start += size


def text(body: bytes) -> str | bytes:
    """Decode UTF-8; return other bytes unchanged."""
    try:
        return body.decode("utf8")
    except UnicodeDecodeError:
        return body
