"""Takes a body apart into its texts, and puts it together again. Pure.

It knows JSON, events, JSON lines, forms, multipart and the event streams of AWS.

A document is what JSON gives, with `Nested` in the place of a text that is a document itself.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from pytest_llmmetrics.cassettes.aws_messages import CONTENT_TYPE, inner_text, messages_of

_BOUNDARY = "boundary"
_BOUNDARY_OF = re.compile(r"boundary=\"?([^\";,\s]{1,200})")
_NAME = re.compile(r"[;\s]name=\"([^\"]*)\"")
_EVENT_FIELD = re.compile(r"data:(?![\w.+-]+/[\w.+-]+[;,])[ \t]*")
"""The field of an event; a `data:` URL begins with a media type."""
_LINES = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")


class Nested(NamedTuple):
    """A text that is a document: `write` makes a text of a changed document."""

    text: str
    document: Any
    write: Callable[[Any], str]
    is_stream: bool = False


class Leaf(NamedTuple):
    """One text of a document. `key` is the JSON key of a value, in lower case; empty for a key itself.

    `stream` is the path without the number of the event, so that the pieces of a text in a stream have the same one;
    empty for what is no piece.
    """

    path: str
    key: str
    text: str
    stream: str
    is_name: bool


def parsed(text: str, content_type: str = "") -> Any:
    """Return the document of a text, as a `Nested`, or the text if it is none."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("multipart/") and (boundary := _BOUNDARY_OF.search(content_type)):
        return _multipart(text, boundary[1])
    if kind == "application/x-www-form-urlencoded":
        return _form(text)
    if kind == CONTENT_TYPE:
        return _aws_stream(text.encode("utf8", "surrogateescape")) or text
    return value if (value := _json(text)) is not None else _stream(text)


def boundary_to_keep(content_type: str) -> str:
    """Return a content type with a boundary that is the same in each recording."""
    return _BOUNDARY_OF.sub(f"boundary={_BOUNDARY}", content_type)


def dumps(value: Any, *, sort_keys: bool = False) -> str:
    """Write JSON as people read it; a half of a surrogate pair, which no file can hold, stays an escape."""
    made = json.dumps(value, ensure_ascii=False, sort_keys=sort_keys)
    try:
        made.encode()
    except UnicodeEncodeError:
        return json.dumps(value, sort_keys=sort_keys)
    return made


def _json(text: str) -> Nested | None:
    """Parse an object or an array; None: the text is none."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    repeated: list[str] = []

    def entries(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        document = dict(pairs)
        repeated.extend("" for _ in range(len(pairs) - len(document)))
        return document

    try:
        document = opened(json.loads(text, object_pairs_hook=entries))
    except (ValueError, RecursionError):
        return None
    # of a key that stands twice only the last value was read: the text with the first value must not stay
    return Nested("" if repeated else text, document, dumps)


def opened(value: Any) -> Any:
    """Return a document whose texts are parsed, where they are documents themselves."""
    if isinstance(value, Mapping):
        return {name: opened(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [opened(each) for each in value]
    if isinstance(value, bytes):
        return _aws_stream(value) or value
    return parsed(value) if isinstance(value, str) and ("{" in value or "data:" in value) else value


def _form(text: str) -> Any:
    pairs = parse_qsl(text, keep_blank_values=True)
    if not pairs:
        return text
    document = [{name: opened(value)} for name, value in pairs]
    return Nested(
        text,
        document,
        lambda rows: urlencode([pair for row in rows for pair in row.items()], safe="[]", errors="surrogatepass"),
    )


def _stream(text: str) -> Any:
    """Return the lines of Server-Sent Events or of JSON lines; a text without any stays a text."""
    split = [_line(each) for each in _LINES.findall(text)]
    if not any(isinstance(body, Nested) for _, body, _ in split) and not any(head for head, _, _ in split):
        return text

    def write(bodies: Sequence[str]) -> str:
        return "".join(head + body + tail for (head, _, tail), body in zip(split, bodies, strict=True))

    return Nested(text, [body for _, body, _ in split], write, is_stream=True)


def _aws_stream(body: bytes) -> Nested | None:
    """Return the payloads of an event stream of AWS; None: it is none."""
    messages = messages_of(body)
    if not messages:
        return None

    def write(payloads: Sequence[str]) -> str:
        pairs = zip(messages, payloads, strict=True)
        raw = b"".join(bytes(each._replace(payload=text.encode("utf8", "surrogateescape"))) for each, text in pairs)
        return raw.decode("utf8", "surrogateescape")

    return Nested("", [_payload(each.payload) for each in messages], write, is_stream=True)


def _payload(payload: bytes) -> Any:
    """Return the document of a payload."""
    text = payload.decode("utf8", "surrogateescape")
    document = _json(text)
    if document is None:
        return text
    fields = document.document
    if (inner := inner_text(fields)) is None:
        return document
    held = Nested(fields["bytes"], parsed(inner), lambda made: b64encode(str(made).encode()).decode())
    return document._replace(document={**fields, "bytes": held})


def _line(line: str) -> tuple[str, Any, str]:
    """Split a line: its field's name, its JSON or its text, its end."""
    body = line.rstrip("\r\n")
    tail = line[len(body) :]
    field = _EVENT_FIELD.match(body)
    head = field[0] if field else ""
    body = body[len(head) :]
    return head, _json(body) or body, tail


def _multipart(text: str, boundary: str) -> Any:
    parts = text.split(f"--{boundary}")
    is_whole = len(parts) > 2 and all("\r\n\r\n" in part for part in parts[1:-1])
    if not is_whole or (boundary != _BOUNDARY and f"--{_BOUNDARY}" in text):
        return text
    rows = []
    for part in parts[1:-1]:
        head, gap, body = part.partition("\r\n\r\n")
        name = _NAME.search(head)
        kind = next((line for line in head.splitlines() if line.lower().startswith("content-type:")), "")
        body = body.removesuffix("\r\n")
        rows.append([head + gap, {name[1] if name else "": parsed(body, kind.partition(":")[2])}])

    def write(rows: Sequence[tuple[str, Mapping[str, str]]]) -> str:
        pieces = (f"--{_BOUNDARY}{head}{next(iter(part.values()))}\r\n" for head, part in rows)
        return "".join(pieces) + f"--{_BOUNDARY}--\r\n"

    return Nested("", rows, write)


def leaves(document: Any) -> list[Leaf]:
    """List every text of a document, its keys too."""
    collected: list[Leaf] = []
    _collect(document, "", "", "", collected)
    return collected


def _collect(value: Any, path: str, key: str, stream: str, to: list[Leaf]) -> None:
    if isinstance(value, Nested):
        if value.is_stream:
            for n, each in enumerate(value.document):
                _collect(each, f"{path}.event[{n}]", key, f"{path}.event[]", to)
        else:
            _collect(value.document, path, key, stream, to)
    elif isinstance(value, Mapping):
        # choices or blocks that take turns in a stream have numbers
        number = value.get("index")
        at = f"{stream}#{number}" if stream and isinstance(number, int) else stream
        for name, each in value.items():
            inner = f"{path}.{name}" if path else str(name)
            to.append(Leaf(f"a key in {path or 'the document'}", "", str(name), "", is_name=True))
            _collect(each, inner, str(name).lower(), at and f"{at}.{name}", to)
    elif isinstance(value, list | tuple):
        for n, each in enumerate(value):
            _collect(each, f"{path}[{n}]", key, stream and f"{stream}[{n}]", to)
    elif isinstance(value, bytes):
        to.append(Leaf(path, key, value.decode("latin1"), stream, is_name=False))
    elif isinstance(value, str):
        to.append(Leaf(path, key, value, stream, is_name=False))


def written(document: Any, texts: Iterable[str]) -> str:
    """Write a parsed text with other leaves: `texts` has one for each, in the order of `leaves`."""
    return str(_rebuilt(document, iter(texts)))


def _rebuilt(value: Any, texts: Iterator[str]) -> Any:
    if isinstance(value, Nested):
        before = _plain(value.document)
        after = _rebuilt(value.document, texts)
        return value.text if value.text and after == before else value.write(after)
    if isinstance(value, dict):
        made: dict[str, Any] = {}
        for each in value.values():
            name = free = next(texts)
            n = 1
            while free in made:
                n += 1
                free = f"{name} {n}"
            made[free] = _rebuilt(each, texts)
        return made
    if isinstance(value, list):
        return [_rebuilt(each, texts) for each in value]
    return next(texts) if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    """Return a document with its texts as they were."""
    if isinstance(value, Nested):
        return value.text
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value
