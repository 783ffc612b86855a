"""AWS event streams, written: the framing of Bedrock's streams.

https://smithy.io/2.0/aws/amazon-eventstream.html. A message is its length, the length of its headers and a checksum of
both; then headers, payload, and a checksum of everything before it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from struct import pack
from typing import Any
from zlib import crc32

_STRING = 7
_FRAME = 16
"""Two lengths and two checksums, four bytes each."""

_JSON = {":content-type": "application/json"}


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return a message with headers that are strings."""
    return framed(b"".join(map(_header, headers.items())), payload)


def framed(headers: bytes, payload: bytes) -> bytes:
    """Return a message with headers that are written already."""
    lengths = pack(">II", _FRAME + len(headers) + len(payload), len(headers))
    before = lengths + pack(">I", crc32(lengths)) + headers + payload
    return before + pack(">I", crc32(before))


def _header(header: tuple[str, str]) -> bytes:
    name, value = (each.encode() for each in header)
    return pack(">B", len(name)) + name + pack(">BH", _STRING, len(value)) + value


def event(kind: str, fields: Mapping[str, Any]) -> bytes:
    """Return an event of this type."""
    return message({":event-type": kind, **_JSON, ":message-type": "event"}, json.dumps(fields).encode())


def exception(kind: str, fields: Mapping[str, Any]) -> bytes:
    """Return an exception, which ends a stream."""
    return message({":exception-type": kind, **_JSON, ":message-type": "exception"}, json.dumps(fields).encode())
